"""Inspection: what a file is, and whether it may come in, from its bytes as they arrive and without decoding a pixel.

    inspector = Inspector(PictureLimits(max_pixels=100_000_000))
    for piece in pieces:
        inspector.feed(piece)  # raises a PictureRefused as soon as it is known
    picture = inspector.finish()  # a Picture: format, media_type, width, height, frames

Every format is a generator in a module of its own, which yields what it wants to see next (`wants`) and is handed the
bytes. So the verdict is the same however they were cut, nothing is read twice, and memory stays below 1 MiB. Whether
every pixel can be decoded is for the job that renders the picture to find out.
"""

from tailrace.photos.inspection.inspector import Inspector
from tailrace.photos.inspection.picture import Picture, PictureLimits, taken_formats

__all__ = ["Inspector", "Picture", "PictureLimits", "taken_formats"]
