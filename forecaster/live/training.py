"""Training beside: slow models are fitted in a thread of their own, a day's fit serves the day."""

import threading
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import structlog

from forecaster.history import History
from forecaster.models.model import Fitted, Model

_log = structlog.get_logger(__name__)

_DAY_SECONDS = 86_400.0
_RETRY_SECONDS = 3_600.0

Work = Callable[[], None]


@runtime_checkable
class Follows(Protocol):
    """A fitted model that can be asked of a later history without being fitted anew."""

    def at(self, history: History) -> Fitted:
        """Return what was learnt, to be asked at the origins of `history`."""
        ...


class FittedBeside:
    """A slow model (forecaster.models.model.Model) that no forecast waits for.

    It can be asked once its first fit is done; a new fit begins a day after the last, on the
    history that is then at hand. A fit that fails is told to `failed`, and tried again later.
    """

    def __init__(
        self,
        model: Model,
        *,
        every_seconds: float = _DAY_SECONDS,
        begin: Callable[[Work], None] | None = None,
        fitted: Callable[[str, bool], None] = lambda _name, _worked: None,
    ) -> None:
        self._model = model
        self._every = every_seconds
        self._begin = begin or _in_a_thread
        self._tell = fitted
        self._lock = threading.Lock()
        self._newest: Follows | None = None
        self._due = float("-inf")  # the next fit, by the time of the history
        self._is_busy = False

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._model.name

    def can_fit(self, history: History) -> bool:
        """Tell whether a fit is at hand, and have one made where it is due."""
        if self._is_due(history) and self._model.can_fit(history):
            self._is_busy = True
            self._begin(lambda: self._fit(history))
        return self._newest is not None

    def fit(self, history: History) -> Fitted:
        """Return the newest fit, looking at this history."""
        with self._lock:
            newest = self._newest
        if newest is None:
            raise ValueError(f"{self.name} has not been fitted yet")
        return newest.at(history)

    def _is_due(self, history: History) -> bool:
        return not self._is_busy and history.end >= self._due

    def _fit(self, history: History) -> None:
        """Fit, and keep what came of it; whatever fails, forecasts go on without."""
        try:
            fitted = self._model.fit(history)
            if not isinstance(fitted, Follows):
                raise TypeError(f"what {self.name} has learnt cannot follow a later history")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - the edge of the thread
            _log.warning("a model could not be fitted", member=self.name, why=str(error))
            self._finish(None, history.end + min(_RETRY_SECONDS, self._every))
        else:
            self._finish(fitted, history.end + self._every)

    def _finish(self, fitted: Follows | None, due: float) -> None:
        with self._lock:
            self._newest = fitted or self._newest
            self._due, self._is_busy = due, False
        self._tell(self.name, fitted is not None)


def _in_a_thread(work: Work) -> None:
    threading.Thread(target=work, name="forecast-training", daemon=True).start()
