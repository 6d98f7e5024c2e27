"""What a format's generator finds out about a picture, held against the limits as soon as it is known."""

from tailrace.photos.errors import BrokenPicture, TooManyPixels, UnsupportedPicture
from tailrace.photos.inspection.picture import MEDIA_TYPES, TITLES, Picture, PictureLimits

MAX_SIDE = 65_535  # JPEG's own limit; what is longer than that is no photo
MAX_PROFILE = 4 * 1024 * 1024
_CURES = {"heic": " To take them, install the extra `heic` (pillow-heif) on the server; or send the picture as JPEG."}


class Findings:
    """What is known of one file, by and by.

    `needed` is the least length of the file in bytes, by its header; `may_end` is whether it may end where the next
    want begins, for a format that has no end marker; `cut_off` is whether what came last is in the midst of a picture.
    """

    def __init__(self, limits: PictureLimits) -> None:
        self.limits = limits
        self.format = ""
        self.needed = 0
        self.may_end = False
        self.cut_off = False
        self._size: tuple[int, int] | None = None
        self._frames = 1

    @property
    def title(self) -> str:
        """The format as people write it."""
        return TITLES.get(self.format, "picture")

    @property
    def picture(self) -> Picture | None:
        """What is known so far; None before the size is."""
        if self._size is None:
            return None
        return Picture(self.format, MEDIA_TYPES[self.format], *self._size, self._frames)

    def is_a(self, name: str) -> None:
        """Note the format. Raises UnsupportedPicture, with the cure, if it is not taken here."""
        if name not in self.limits.formats:
            raise UnsupportedPicture(f"{TITLES[name]} pictures are not taken here.{_CURES.get(name, '')}")
        self.format = name

    def size(self, width: int, height: int) -> None:
        """Note the size in pixels. Raises BrokenPicture for an empty one and TooManyPixels."""
        self.check(width, height)
        self._size = (width, height)
        self.frames(self._frames)

    def check(self, width: int, height: int) -> None:
        """Raise BrokenPicture or TooManyPixels if something of this size cannot be in a picture, noting nothing."""
        if not width or not height:
            raise self.broken(f"says that it is {width:,} × {height:,} pixels, which is nothing")
        if max(width, height) > MAX_SIDE:
            raise TooManyPixels(
                f"This {self.title} has {width:,} × {height:,} pixels; at most {MAX_SIDE:,} a side are taken."
            )
        self._check_pixels(width, height, 1)

    def frames(self, count: int) -> None:
        """Note how many frames there are so far. Raises TooManyPixels."""
        if count > self.limits.max_frames:
            raise TooManyPixels(
                f"This {self.title} has {count:,} frames or more; at most {self.limits.max_frames:,} are taken."
            )
        self._frames = count
        if self._size is not None:
            self._check_pixels(*self._size, count)

    def profile(self, size: int) -> None:
        """Check the size of a colour profile, in bytes. Raises BrokenPicture."""
        if size > MAX_PROFILE:
            raise self.broken("has a colour profile of more than 4 MiB")

    def broken(
        self, what: str, *, cure: str = "Save it again with another program, or send another one."
    ) -> BrokenPicture:
        """Make the refusal "This … `what`", for raising."""
        return BrokenPicture(f"This {self.title} {what}. {cure}")

    def _check_pixels(self, width: int, height: int, frames: int) -> None:
        pixels = width * height * frames
        if pixels > self.limits.max_pixels:
            times = f" in {frames:,} frames" if frames > 1 else ""
            raise TooManyPixels(
                f"This {self.title} has {width:,} × {height:,} pixels{times}, {_mega(pixels)} megapixels; "
                f"at most {_mega(self.limits.max_pixels)} are taken."
            )


def _mega(pixels: int) -> str:
    return f"{pixels / 1e6:,.1f}".removesuffix(".0")
