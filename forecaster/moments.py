"""Moments and durations as people read them, wherever the forecaster tells of demand."""

from datetime import datetime
from zoneinfo import ZoneInfo

DATED = 315_532_800.0  # 1980: no demand of a GPU is older, and no trace counts so many seconds


def moment(seconds: float, zone: ZoneInfo) -> str:
    """Return date and time of day; what counts from the start of a trace is said as that."""
    if seconds < DATED:
        return f"{spoken(seconds)} from the start"
    return datetime.fromtimestamp(seconds, tz=zone).strftime("%Y-%m-%d %H:%M %Z")


def spoken(seconds: float) -> str:
    """Return a duration as it is read, such as 90 s, 5 min, 1 h 30 min or 2 d."""
    if seconds < 120 and seconds % 60:  # noqa: PLR2004 - two minutes
        return f"{seconds:.4g} s"
    parts = _parts(round(seconds))
    return " ".join(f"{amount} {unit}" for amount, unit in parts[:2]) or "0 s"


def _parts(seconds: int) -> list[tuple[int, str]]:
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    amounts = []
    for unit, size in units:
        amount, seconds = divmod(seconds, size)
        amounts.append((amount, unit))
    return [(amount, unit) for amount, unit in amounts if amount]
