"""The record: how the forecasts of one model fared, what trust that leaves, and its file."""

from pathlib import Path

import structlog

from forecaster.forecast import Forecast
from forecaster.live.memory import MemoryFileError, load, save
from forecaster.live.tracking import Tracking
from forecaster.live.trust import Trust, findings
from telemetry.series import Series

_log = structlog.get_logger(__name__)


class Record:
    """Tracking and trust, kept in a file where one is named; says once when trust turns."""

    def __init__(self, fresh: Tracking, *, model: str, file: Path | None) -> None:
        self._model = model
        self._file = file
        self._said_unwritten = False
        self._tracking, self._trust = fresh, Trust()
        if file is not None:
            self._load(file, fresh)

    @property
    def tracking(self) -> Tracking:
        """What is known of how the forecasts fared."""
        return self._tracking

    @property
    def is_doubted(self) -> bool:
        """Whether the forecasts have lost their calibration."""
        return self._trust.doubted

    def judge(self, demand: Series) -> None:
        """Judge what was forecast for what is now known."""
        tracking = self._tracking.matured(demand)
        trust = self._trust.next(tracking)
        self._say_if_turned(trust, tracking)
        self._tracking, self._trust = tracking, trust

    def remember(self, forecast: Forecast) -> None:
        """Await the demand that is forecast, and write down what is known."""
        self._tracking = self._tracking.remembering(forecast)
        self._save()

    def _load(self, file: Path, fresh: Tracking) -> None:
        try:
            self._tracking, self._trust = load(file, fresh)
        except MemoryFileError as error:
            _log.warning("what was learnt of forecasts is lost", why=str(error))

    def _save(self) -> None:
        """Write the file; where that fails forecasts are as good, until a restart."""
        if self._file is None:
            return
        try:
            save(self._file, self._tracking, self._trust)
        except MemoryFileError as error:
            if not self._said_unwritten:
                _log.warning(
                    "what is learnt of forecasts will be lost at a restart", why=str(error)
                )
            self._said_unwritten = True
        else:
            self._said_unwritten = False

    def _say_if_turned(self, after: Trust, tracking: Tracking) -> None:
        if after.doubted and not self._trust.doubted:
            for found in findings(tracking, since=self._trust.since):
                _log.warning(
                    "the forecast has lost its calibration: nothing is scaled down for it",
                    model=self._model,
                    quantile=found.quantile,
                    covered=round(found.coverage, 4),
                    forecasts=found.forecasts,
                )
        if self._trust.doubted and not after.doubted:
            _log.info("the forecast is calibrated again", model=self._model)
