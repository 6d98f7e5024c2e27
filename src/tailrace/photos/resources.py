"""What the jobs of photos are given."""

from typing import Protocol

from tailrace.photos.settings import PhotoSettings
from tailrace.storage import Storage


class Resources(Protocol):
    """Where files live, and what the operator chose about photos."""

    @property
    def storage(self) -> Storage: ...
    @property
    def photos(self) -> PhotoSettings: ...
