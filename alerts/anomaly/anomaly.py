"""An anomaly: how far a signal is from what was expected of it, and whether that is abnormal."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One signal at one moment, with the band in which it would be normal."""

    signal: str
    at: float
    value: float
    expected: float
    low: float
    high: float
    score: float  # distance from `expected` in robust standard deviations
    active: bool
    since: float | None = None  # when it became abnormal; None while it is not
