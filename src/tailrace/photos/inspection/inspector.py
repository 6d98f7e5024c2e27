"""The inspector: told the bytes of a file in order, it says what picture that is, or why it is refused."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tailrace.photos.errors import BrokenPicture, PictureRefused, PictureTooLarge
from tailrace.photos.inspection.findings import Findings
from tailrace.photos.inspection.picture import Picture, PictureLimits
from tailrace.photos.inspection.recognition import HEAD, SCANS, recognize, unsupported
from tailrace.photos.inspection.wants import Stepper

_log = logging.getLogger(__name__)


class Inspector:
    """Inspects one file. After a refusal, every further call raises that refusal again."""

    def __init__(self, limits: PictureLimits) -> None:
        """Inspect by `limits`."""
        self._limits = limits
        self._found = Findings(limits)
        self._head = bytearray()
        self._stepper: Stepper | None = None
        self._total = 0
        self._refusal: PictureRefused | None = None

    @property
    def picture(self) -> Picture | None:
        """What is known so far; None before the header has come. Frames may still be counted on."""
        return self._found.picture

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises a PictureRefused as soon as they, with those before, leave no doubt."""
        view = memoryview(data)
        room = self._limits.max_bytes - self._total
        with self._remembering():
            self._take(view[:room])
            if len(view) > room:
                raise PictureTooLarge(
                    f"This file has more than {self._limits.max_bytes:,} bytes, the most that is taken."
                )

    def finish(self) -> Picture:
        """Return the picture that the bytes are, now that there are no more. Raises a PictureRefused."""
        with self._remembering():
            if self._stepper is None:
                self._begin()
            assert self._stepper is not None
            self._stepper.finish()
            picture = self._found.picture
            if picture is None or not self._is_whole(self._stepper):
                raise self._cut_off()
        return picture

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        if self._refusal is not None:
            raise self._refusal
        try:
            yield
        except PictureRefused as refusal:
            self._refusal = refusal
            raise
        except Exception as error:
            # A mistake of ours in reading what somebody made to be misread costs that file, not those beside it.
            _log.exception("A file could not be inspected")
            self._refusal = BrokenPicture("This file cannot be understood. Save it again with another program.")
            raise self._refusal from error

    def _take(self, data: memoryview) -> None:
        self._total += len(data)
        if self._stepper is not None:
            self._stepper.feed(data)
            return
        self._head += data
        if len(self._head) >= HEAD or recognize(bytes(self._head)):
            self._begin()

    def _begin(self) -> None:
        """Choose the generator by the first bytes."""
        head = bytes(self._head)
        if not head:
            raise BrokenPicture("This file is empty. Nothing of the picture was sent.")
        name = recognize(head)
        if name is None:
            raise unsupported(head[:HEAD])
        self._stepper = Stepper(SCANS[name](self._found))
        self._stepper.feed(memoryview(head))
        self._head.clear()

    def _is_whole(self, stepper: Stepper) -> bool:
        may_end = stepper.done or self._found.may_end
        return may_end and not self._found.cut_off and not stepper.ahead and self._total >= self._found.needed

    def _cut_off(self) -> BrokenPicture:
        return BrokenPicture(
            f"This {self._found.title} is cut off after {self._total:,} bytes: its end is missing. Send it again."
        )
