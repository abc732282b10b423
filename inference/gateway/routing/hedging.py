"""Hedging: when a slow first byte is worth asking a second replica, and how often that may be.

It is for requests that may be computed twice; whoever asks knows which those are.
"""

from collections import deque
from dataclasses import dataclass, field

from inference.gateway.routing.bounds import shares

_TIMES_KEPT = 256
_TIMES_NEEDED = 64  # below them a p95 rests on three requests or fewer
_RENEWED_EVERY = 16  # observations: sorting the window each time would cost more than it tells
_MOST_SAVED = 10.0  # hedges that a quiet time may save up


@dataclass(frozen=True, slots=True)
class HedgeSettings:
    """Whether slow requests are hedged, and how many of them."""

    is_on: bool = False
    share: float = 0.05  # of the requests that may be hedged
    quantile: float = 0.95  # of the times to the first byte, from which on a request is slow

    def __post_init__(self) -> None:
        shares(hedge_share=self.share, hedge_quantile=self.quantile)


class Hedging:
    """Recent times to the first byte, and a budget of second requests for each model."""

    def __init__(self, settings: HedgeSettings | None = None) -> None:
        self._settings = settings or HedgeSettings()
        self._times: dict[tuple[str, bool], _Times] = {}
        self._saved: dict[str, float] = {}

    def delay(self, model: str, *, streams: bool) -> float | None:
        """Return the seconds after which a first byte is late; None where none is hedged."""
        times = self._times.get((model, streams))
        return times.slow if times is not None and self._settings.is_on else None

    def observe(self, model: str, *, streams: bool, seconds: float) -> None:
        """Note a request's time to its first byte, which earns a share of a hedge."""
        if not self._settings.is_on:
            return
        times = self._times.setdefault((model, streams), _Times())
        times.add(seconds, self._settings.quantile)
        saved = self._saved.get(model, 0.0) + self._settings.share
        self._saved[model] = min(saved, _MOST_SAVED)

    def may_hedge(self, model: str) -> bool:
        """Tell whether one more hedge is within the budget; if it is, it is spent."""
        if self._saved.get(model, 0.0) < 1:
            return False
        self._saved[model] -= 1
        return True


@dataclass(slots=True)
class _Times:
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_TIMES_KEPT))
    added: int = 0
    slow: float | None = None

    def add(self, seconds: float, quantile: float) -> None:
        self.recent.append(seconds)
        self.added += 1
        if self.added >= _TIMES_NEEDED and self.added % _RENEWED_EVERY == 0:
            ordered = sorted(self.recent)
            self.slow = ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]
