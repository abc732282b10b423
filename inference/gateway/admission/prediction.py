"""Prediction: how long a request that comes now will wait, and when it had better come back."""

from collections import defaultdict

from inference.gateway.admission.entry import Entry, Lane
from inference.gateway.tenancy.priority import Priority

_MEMORY = 0.98  # of each earlier wait: some fifty of them count
_RATIOS = (0.25, 8.0)
_PRIOR_SECONDS = 2.0  # of waits predicted rightly, that are believed before any is seen
_LONGEST_RETURN = 120.0  # clients of the OpenAI API do not wait for longer
_SHORTEST_RETURN = 0.25
_JITTER = 0.2
_LEAST_LEFT = 0.02  # of the throughput, however much the more urgent take


class Calibration:
    """How much longer requests wait than was predicted, by class and special needs.

    Work over throughput knows neither those who will overtake, nor that few replicas take
    images or a version; waits that have ended do.
    """

    def __init__(self) -> None:
        self._seen: defaultdict[tuple[Priority, Lane], tuple[float, float]] = defaultdict(
            lambda: (_PRIOR_SECONDS, _PRIOR_SECONDS)
        )

    def ratio(self, priority: Priority, lane: Lane) -> float:
        """Return what predictions for such a request are to be multiplied by."""
        predicted, waited = self._seen[priority, lane]
        low, high = _RATIOS
        return min(max(waited / predicted, low), high)

    def learn(self, entry: Entry, waited: float) -> None:
        """Take in a wait that has ended, whether or not with a replica."""
        if entry.predicted is None:
            return
        predicted, seen = self._seen[entry.priority, entry.lane]
        self._seen[entry.priority, entry.lane] = (
            _MEMORY * predicted + entry.predicted,
            _MEMORY * seen + waited,
        )


def predicted_wait(work: float, *, rate: float, above: float, ageing_seconds: float) -> float:
    """Return the seconds until so much work has gone before a request.

    Of the `rate`, those who are more urgent will go on taking the part `above`; but only until
    the request has aged for so long that they no longer overtake it.
    """
    left = max(rate - above, _LEAST_LEFT * rate)
    return min(work / left, ageing_seconds + work / rate)


class Demand:
    """Work that came to one class and those above it, as if it all had been let in.

    It drains at the measured rate: who is turned away comes back when those before it are
    done. Were all told the moment at which the line has room again, all would come at once.
    """

    def __init__(self) -> None:
        self._work = 0.0
        self._at = 0.0

    def came(self, work: float, *, rate: float, now: float) -> None:
        """Take in one request, whatever becomes of it."""
        self._work = min(self._drained(rate, now) + work, rate * _LONGEST_RETURN)
        self._at = now

    def seconds(self, *, rate: float, now: float) -> float:
        """Return after how many seconds it will have drained."""
        return self._drained(rate, now) / rate

    def _drained(self, rate: float, now: float) -> float:
        return max(0.0, self._work - (now - self._at) * rate)


def retry_after(seconds: float, *, jitter: float) -> float:
    """Spread a return by up to a fifth (`jitter` is from 0 to 1), within what clients honour."""
    return min(max(seconds, _SHORTEST_RETURN) * (1 + _JITTER * jitter), _LONGEST_RETURN)
