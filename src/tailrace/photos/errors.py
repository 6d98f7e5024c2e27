"""Every reason for which a picture is refused while it arrives, and the HTTP status each is answered with.

TailraceError
└── PictureRefused           422   the picture cannot be taken
    ├── PictureTooLarge      413   it has more bytes than allowed
    ├── UnsupportedPicture   415   it is not a picture, or of a type that is not taken
    ├── TooManyPixels        422   width × height × frames is more than allowed
    └── BrokenPicture        422   it is cut off, or contradicts itself

Each is raised with a sentence that names what was found in the bytes; a file's name and type count for nothing.
"""

from tailrace.errors import TailraceError


class PictureRefused(TailraceError):
    """This picture cannot be taken."""

    status = 422
    title = "Picture refused"


class PictureTooLarge(PictureRefused):
    """This picture has more bytes than allowed."""

    status = 413
    title = "Too large"


class UnsupportedPicture(PictureRefused):
    """This is no picture of a type that is taken here."""

    status = 415
    title = "Not a picture of a type that is taken here"


class TooManyPixels(PictureRefused):
    """This picture has more pixels than allowed."""

    title = "Too many pixels"


class BrokenPicture(PictureRefused):
    """This picture is broken."""

    title = "Broken picture"
