"""The seam between devices and everything else: a source is asked, and answers with readings."""

from collections.abc import Sequence
from typing import Protocol

from exporter.reading import Reading


class SourceError(Exception):
    """A source could not be asked: nothing is known about any of its devices."""


class DriverNotFoundError(SourceError):
    """No driver answers on this machine."""


class Source(Protocol):
    """Where readings come from; may block, and is asked from one thread at a time."""

    @property
    def name(self) -> str:
        """Short name for logs and labels."""
        ...

    def read(self) -> Sequence[Reading]:
        """Ask every device once; a device that fails is a reading that is not up."""
        ...
