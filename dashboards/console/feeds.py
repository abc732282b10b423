"""What the console asks besides the store: small callables, and the values they are read into.

They are called in a worker thread, so they may block, and must not need the event loop.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dashboards.console.reading import points
from dashboards.console.sections import AnomalyEvent, Band, Decision, Outlook, Replica


class ForecastView(Protocol):
    """The part of a forecast that can be drawn."""

    @property
    def origin(self) -> float:
        """Return when the first step ahead begins, seconds since the epoch."""
        ...

    @property
    def step(self) -> float:
        """Return the seconds in a step."""
        ...

    @property
    def quantiles(self) -> tuple[float, ...]:
        """Return the levels that the forecast was made for."""
        ...

    @property
    def times(self) -> NDArray[np.float64]:
        """Return the end of each step ahead, seconds since the epoch."""
        ...

    def at_quantile(self, quantile: float) -> NDArray[np.float64]:
        """Return demand per step at one quantile."""
        ...


def _nothing() -> Sequence[Mapping[str, Any]]:
    return ()


@dataclass(frozen=True, slots=True)
class Feeds:
    """Where the newest forecast, decisions, replicas and anomalies come from.

    A decision has at, reason, sentence, serving, standby and numbers, and the newest comes first.
    A replica has id, state, since, pid, in_flight and waiting.
    An anomaly has at, signal, sentence and until, which is None while it lasts.
    """

    forecast: Callable[[], ForecastView | None] = lambda: None
    decisions: Callable[[int], Sequence[Mapping[str, Any]]] = lambda _: ()
    fleet: Callable[[], Sequence[Mapping[str, Any]]] = _nothing
    anomalies: Callable[[], Sequence[Mapping[str, Any]]] = _nothing


def as_outlook(view: ForecastView | None) -> Outlook | None:
    """Draw the band of a forecast; None where none has been made yet."""
    if view is None:
        return None
    low, middle, high = (points(view.at_quantile(level)) for level in (0.1, 0.5, 0.9))
    times = tuple(float(time) for time in view.times)
    return Outlook(float(view.origin), float(view.step), times, Band(low, middle, high))


def as_decision(row: Mapping[str, Any]) -> Decision:
    """Read one row of the ledger."""
    return Decision(
        at=float(row["at"]),
        reason=str(row["reason"]),
        sentence=str(row["sentence"]),
        serving=_whole(row.get("serving")),
        standby=_whole(row.get("standby")),
        numbers=row.get("numbers") or {},
    )


def as_replica(row: Mapping[str, Any]) -> Replica:
    """Read one row of the fleet."""
    return Replica(
        id=str(row["id"]),
        state=str(row["state"]),
        since=_number(row.get("since")),
        pid=_whole(row.get("pid")),
        in_flight=_number(row.get("in_flight")),
        waiting=_number(row.get("waiting")),
    )


def as_anomaly(row: Mapping[str, Any]) -> AnomalyEvent:
    """Read one stretch of abnormal behaviour."""
    return AnomalyEvent(
        at=float(row["at"]),
        signal=str(row["signal"]),
        sentence=str(row.get("sentence") or ""),
        until=_number(row.get("until")),
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
