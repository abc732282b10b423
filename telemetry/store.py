"""The metrics store: a small protocol to write and read series, and its errors.

*No data* is an empty list; *unavailable* is `StoreUnavailableError`. They are different answers:
on the first the world was quiet, on the second nobody knows.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from telemetry.series import Sample, Selector, Series, Window


class StoreError(Exception):
    """Something went wrong with a metrics store."""


class StoreUnavailableError(StoreError):
    """The store could not be asked or told anything: nothing is known."""


class Reader(Protocol):
    """Where series are read from."""

    def latest(self, selector: Selector, *, at: float, within: float) -> Sequence[Sample]:
        """Return the newest sample of each series not older than `within` seconds before `at`."""
        ...

    def gauge(self, selector: Selector, window: Window) -> Sequence[Series]:
        """Return each matching series: at each point, the newest value of the step before it."""
        ...

    def increase(self, selector: Selector, window: Window) -> Sequence[Series]:
        """Return how much each matching counter grew in the step before each point.

        A counter that falls was reset and counts from zero. A step without two readings to
        compare is a gap.
        """
        ...


class Store(Reader, Protocol):
    """A store that can be written to as well."""

    def write(self, samples: Iterable[Sample]) -> None:
        """Keep the samples; all of them or, on an error, none."""
        ...

    def close(self) -> None:
        """Release what the store holds."""
        ...
