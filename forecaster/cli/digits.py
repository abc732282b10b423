"""Numbers as people read them: as many digits as tell something, the same in a whole column."""

import math
from collections.abc import Iterable

_DIGITS = 3  # of the largest number of a column
MISSING = "-"
_NOTHING = 1e-9  # less is what rounding leaves of zero


def decimals_of(values: Iterable[float]) -> int:
    """Return how many decimals give the largest of the numbers three digits."""
    known = [abs(value) for value in values if math.isfinite(value) and abs(value) > _NOTHING]
    if not known:
        return 0
    return min(8, max(0, _DIGITS - 1 - math.floor(math.log10(max(known)))))


def amount(value: float | None, decimals: int) -> str:
    """Return a number with so many decimals, and with commas where it is large."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.{decimals}f}"


def alone(value: float | None) -> str:
    """Return a number that stands in no column, with three digits."""
    return MISSING if value is None else amount(value, decimals_of([value]))


def share(value: float | None, decimals: int = 0) -> str:
    """Return a share of 1 as a percentage."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.{decimals}%}"


def level(quantile: float) -> str:
    """Return a quantile level as it is called, such as p99 or p99.5."""
    return f"p{quantile * 100:.6g}"


def json_number(value: float | None) -> float | None:
    """Return the number, or None where JSON has none: it knows neither NaN nor infinity."""
    return None if value is None or not math.isfinite(value) else float(value)
