"""Publication: the newest forecast and how the last ones fared, as metrics; unknown is absent."""

from collections.abc import Iterable, Mapping

import numpy as np

from forecaster.demand.demand import Demand
from forecaster.forecast import Doubt, Forecast
from forecaster.live import tracking as past
from forecaster.live.tracking import Tracking
from telemetry import catalog
from telemetry.catalog import Metric
from telemetry.publish import Metrics

LEAST_MATURED = 10  # fewer say nothing of a share
_NOW = (0.1, 0.5, 0.9)
_AHEAD = (0.1, 0.5, 0.9, 0.99)
_HORIZONS = (60, 300, 900, 3600)  # seconds
_LEVEL = ".10g"

_Rows = Iterable[tuple[Mapping[str, str], float]]


class Publication:
    """The metrics of one model's forecasts."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._metrics = metrics
        self._model = model
        metrics.counter(catalog.FORECAST_ERRORS)

    def show(self, forecast: Forecast | None) -> None:
        """Make `forecast` what is shown; None shows nothing."""
        several = [] if forecast is None else [forecast]
        for metric, rows in (
            (catalog.FORECAST, _now),
            (catalog.FORECAST_AHEAD, _ahead),
            (catalog.FORECAST_HIGHEST, _highest),
            (catalog.FORECAST_REQUEST_TOKENS, _request_tokens),
            (catalog.FORECAST_WEIGHT, _weights),
            (catalog.FORECAST_DOUBT, _doubts),
            (catalog.FORECAST_ORIGIN, _origin),
        ):
            self._replace(metric, [row for one in several for row in rows(one)])

    def show_past(self, tracking: Tracking) -> None:
        """Show how the forecasts of the last season fared, where enough have matured."""
        matured = past.matured_count(tracking)
        is_enough = matured >= LEAST_MATURED
        self._replace(catalog.FORECAST_MATURED, [({}, matured)])
        self._replace(catalog.FORECAST_COVERAGE, _coverage(tracking) if is_enough else [])
        self._replace(catalog.FORECAST_PIT, _pit(tracking) if is_enough else [])
        self._replace(catalog.FORECAST_LOSS, _losses(tracking) if is_enough else [])

    def show_ignored(self, demand: Demand | None) -> None:
        """Show how much of this demand is not learnt from; None shows nothing."""
        self._replace(catalog.FORECAST_IGNORED, [] if demand is None else _ignored(demand))

    def took(self, seconds: float) -> None:
        """Count the time that one forecast took."""
        self._metrics.histogram(catalog.FORECAST_DURATION).labels(self._model).observe(seconds)

    def failed(self) -> None:
        """Count a forecast that could not be made."""
        self._metrics.counter(catalog.FORECAST_ERRORS).inc()

    def _replace(self, metric: Metric, rows: _Rows) -> None:
        known = [
            ({"model": self._model, **labels}, float(value))
            for labels, value in rows
            if np.isfinite(value)
        ]
        self._metrics.replace(metric, known)


def _now(forecast: Forecast) -> _Rows:
    """Tell what is expected of the step that runs now."""
    return [({"quantile": str(q)}, forecast.at_quantile(q)[0]) for q in _NOW]


def _ahead(forecast: Forecast) -> _Rows:
    return [
        ({"quantile": str(q), "horizon": str(horizon)}, forecast.at_quantile(q)[index])
        for q in _AHEAD
        for horizon, index in _reached(forecast)
    ]


def _highest(forecast: Forecast) -> _Rows:
    highest = {
        horizon: forecast.highest(lead=0.0, window=horizon) for horizon, _ in _reached(forecast)
    }
    return [
        ({"quantile": str(q), "window": str(window)}, one.at(q))
        for q in _AHEAD
        for window, one in highest.items()
    ]


def _request_tokens(forecast: Forecast) -> _Rows:
    drawn = forecast.scenarios
    kinds = {} if drawn is None else {"input": drawn.input_tokens, "output": drawn.output_tokens}
    return [
        ({"kind": kind, "horizon": str(horizon)}, lengths[:, index].mean())
        for kind, lengths in kinds.items()
        if lengths is not None
        for horizon, index in _reached(forecast)
    ]


def _weights(forecast: Forecast) -> _Rows:
    return [({"member": name}, weight) for name, weight in forecast.weights.items()]


def _doubts(forecast: Forecast) -> _Rows:
    return [({"doubt": doubt.value}, float(doubt in forecast.doubts)) for doubt in Doubt]


def _origin(forecast: Forecast) -> _Rows:
    return [({}, forecast.origin)]


def _ignored(demand: Demand) -> _Rows:
    return [({}, 0.0 if demand.ignored is None else demand.ignored.mean())]


def _reached(forecast: Forecast) -> list[tuple[int, int]]:
    """Return the horizons that the forecast reaches, each with its step's index."""
    indices = [(seconds, round(seconds / forecast.step) - 1) for seconds in _HORIZONS]
    return [(seconds, index) for seconds, index in indices if 0 <= index < forecast.steps]


def _coverage(tracking: Tracking) -> _Rows:
    return [({"quantile": str(q)}, share) for q, share in past.coverage(tracking).items()]


def _pit(tracking: Tracking) -> _Rows:
    bins = [*map(str, tracking.quantiles), "1"]
    return [({"bin": name}, share) for name, share in zip(bins, past.pit(tracking), strict=True)]


def _losses(tracking: Tracking) -> _Rows:
    return [({"horizon": f"{h:{_LEVEL}}"}, loss) for h, loss in past.losses(tracking).items()]
