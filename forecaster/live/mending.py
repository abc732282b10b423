"""Mending: what of a model's demand tells nothing of the time to come is not learnt from."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import structlog
from numpy.typing import NDArray

from forecaster.condition.condition import Condition, Finding, examine, repairs
from forecaster.demand.demand import Demand
from telemetry.series import Window

_log = structlog.get_logger(__name__)

_HOUR_SECONDS = 3600.0
_HOURS = 24  # of the day that a season stands for, whose time may be compressed

Examine = Callable[[Demand], Condition]


class Mending:
    """Remembers which steps are ignored, and looks the whole demand over once an hour.

    Steps that came since are not ignored, nor is a stretch after which nothing else has been
    seen yet: that demand has stopped is believed until it is back. Where a look fails, what the
    last one found still holds.
    """

    def __init__(self, *, season: int, model: str, examine: Examine | None = None) -> None:
        self._season = season
        self._model = model
        self._examine = examine or self._look_over
        self._seen: Window | None = None  # what was looked at last
        self._ignored: NDArray[np.int64] = np.zeros(0, np.int64)  # steps, by their number
        self._found: Sequence[Finding] = ()
        self._told: Sequence[Finding] = ()
        self._said_failed = False

    def mended(self, demand: Demand) -> Demand:
        """Return the demand with what tells nothing ignored; rates stay what they are."""
        if self._is_due(demand.window):
            self._seen = demand.window
            self._look(demand)
        ignored = np.isin(_numbers(demand.window), self._ignored)
        if not ignored.any():
            return demand
        if demand.ignored is not None:
            ignored |= demand.ignored
        return replace(demand, ignored=ignored, repairs=(*demand.repairs, *repairs(self._found)))

    def _is_due(self, window: Window) -> bool:
        """Tell whether an hour has passed, a clock was set back, or more of the past is known."""
        seen, hour = self._seen, min(_HOUR_SECONDS, self._season * window.step / _HOURS)
        if seen is None or window.start < seen.start - window.step / 2:
            return True
        return not 0 <= window.end - seen.end < hour

    def _look(self, demand: Demand) -> None:
        """Find what to ignore, and tell what is new of it; a failure is told once."""
        try:
            condition = self._examine(demand)
        except Exception as error:  # noqa: BLE001 - no forecast fails for it
            if not self._said_failed:
                _log.warning("demand could not be looked over", model=self._model, why=str(error))
            self._said_failed = True
            return
        self._said_failed = False
        self._ignored = _numbers(demand.window)[condition.ignored]
        self._found = condition.unlearnt
        self._tell([one for one in self._found if not self._is_told(one)])
        self._told = [one for one in self._told if one.end > demand.window.start]

    def _tell(self, new: Sequence[Finding]) -> None:
        for sentence in repairs(new):
            _log.info("demand is not learnt from", model=self._model, found=sentence)
        self._told = [*self._told, *new]

    def _look_over(self, demand: Demand) -> Condition:
        return examine(demand, season=self._season)

    def _is_told(self, finding: Finding) -> bool:
        """Tell whether it was told before, perhaps with other edges."""
        return any(one.start < finding.end and finding.start < one.end for one in self._told)


def _numbers(window: Window) -> NDArray[np.int64]:
    """Return the number of each step, counted from the epoch."""
    return np.rint(window.times / window.step).astype(np.int64)
