"""What the operator may choose about photos."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PhotoSettings:
    """The limits of what is taken in, how renditions are made, and how long things are kept.

    `max_pixels` bounds width × height × frames. `sizes` are the longest edges of thumb, small and large in pixels,
    `quality` is WebP's, from 1 to 100. A deleted photo can be restored for `trash_days`; an upload that makes no
    progress for `upload_hours` is given up. Decoding may take `decode_s` seconds and `decode_mb` MiB of memory; the
    latter suffices for any picture of the default `max_pixels`.
    """

    max_bytes: int = 50 * 1024 * 1024
    max_pixels: int = 100_000_000
    max_frames: int = 1000
    sizes: tuple[int, int, int] = (256, 1024, 2048)
    quality: int = 80
    trash_days: int = 7
    upload_hours: int = 24
    decode_s: float = 60
    decode_mb: int = 2048
