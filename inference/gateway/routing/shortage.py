"""Shortage: the spans of time in which one model lacked capacity."""

from collections import deque

_SPANS_KEPT = 64


class Shortage:
    """When a model was short, as seen at successive readings of the process table."""

    def __init__(self) -> None:
        self._spans: deque[tuple[float, float]] = deque(maxlen=_SPANS_KEPT)
        self._is_short = False

    def note(self, *, is_short: bool, now: float) -> None:
        """Take in one reading; a shortage lasts until a reading no longer shows it."""
        if self._is_short:
            begun, _ = self._spans.pop()
            self._spans.append((begun, now))
        elif is_short:
            self._spans.append((now, now))
        self._is_short = is_short

    def overlaps(self, since: float, until: float) -> bool:
        """Tell whether the model was short at a moment between `since` and `until`."""
        if self._is_short and self._spans[-1][0] <= until:
            return True
        return any(begun <= until and ended >= since for begun, ended in self._spans)
