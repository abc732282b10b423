"""Forecasters of other projects, each asked alone: rates up to now in, quantiles ahead out.

A line of JSON asks, a line answers with the values and the CPU seconds that they took, fitting
included, imports and just-in-time compilation not. A forecaster of a path alone has all its
quantiles there. The predictors of Dynamo's planner are rebuilt here from what its source does.
"""

import importlib.metadata
import json
import logging
import os
import resource
import sys
import warnings
from collections.abc import Callable
from typing import Any

QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99)
LIBRARIES = ("numpy", "pandas", "scipy", "statsforecast", "statsmodels", "prophet", "pmdarima")
_SEED = 7
_DRAWN = 200  # paths, of what tells its quantiles by drawing

Ask = Any  # {"values", "season", "minutes", "horizon"}: numpy is not imported before it is known


def main() -> int:
    """Tell which libraries are here; answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")  # libraries print to stdout: it becomes stderr
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    _tell(answers, {"versions": _versions()})
    warm: set[str] = set()
    for line in sys.stdin:
        ask = json.loads(line)
        _tell(answers, _answer(FORECASTERS[ask.pop("forecaster")], ask, warm))
    return 0


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _answer(forecaster: Callable[[Ask], Any], ask: Ask, warm: set[str]) -> dict[str, Any]:
    import numpy as np

    ask["values"] = np.array(ask["values"])
    try:
        if forecaster.__name__ not in warm:
            np.random.seed(_SEED)  # noqa: NPY002 - what the libraries draw from
            short = ask["values"][-2 * ask["season"] - 60 :]
            forecaster(ask | {"values": short})
            warm.add(forecaster.__name__)
        np.random.seed(_SEED)  # noqa: NPY002
        began = _cpu_seconds()
        values = forecaster(ask)
        seconds = _cpu_seconds() - began
    except Exception as error:  # noqa: BLE001 - whatever a library raises is its answer
        return {"error": f"{type(error).__name__}: {error}"[:200]}
    values = np.sort(np.maximum(np.asarray(values, dtype=float), 0.0), axis=1)
    if not np.isfinite(values).all():
        return {"error": "a forecast that is not finite"}
    return {"values": values.round(6).tolist(), "seconds": seconds}


def _cpu_seconds() -> float:
    """Of this process and of what it has started: Prophet fits in a program of its own."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def auto_arima(ask: Ask) -> Any:
    """Order by information criterion, no season."""
    from statsforecast.models import AutoARIMA

    return _by_levels(AutoARIMA(season_length=1), ask)


def auto_ets(ask: Ask) -> Any:
    """Exponential smoothing with additive or multiplicative parts, no season."""
    from statsforecast.models import AutoETS

    return _by_levels(AutoETS(season_length=1, model="ZZN"), ask)


def mstl(ask: Ask) -> Any:
    """A daily season taken off, and exponential smoothing of the rest."""
    from statsforecast.models import MSTL, AutoETS

    trend = AutoETS(season_length=1, model="ZZN")
    return _by_levels(MSTL(season_length=ask["season"], trend_forecaster=trend), ask)


def damped_ets(ask: Ask) -> Any:
    """Exponential smoothing with a damped trend; quantiles of drawn paths."""
    import numpy as np
    import pandas as pd
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    model = ETSModel(pd.Series(ask["values"]), error="add", trend="add", damped_trend=True)
    fitted = model.fit(disp=False, maxiter=100)
    paths = np.asarray(fitted.simulate(ask["horizon"], anchor="end", repetitions=_DRAWN))
    return np.quantile(paths, QUANTILES, axis=1).T


def holt_winters(ask: Ask) -> Any:
    """A level and a daily season, normal errors that widen with the horizon."""
    import numpy as np
    from scipy.stats import norm
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    season = ask["season"]
    fitted = ExponentialSmoothing(
        ask["values"], seasonal="add", seasonal_periods=season, initialization_method="heuristic"
    ).fit(minimize_kwargs={"options": {"maxiter": 15}}, use_brute=False)
    ahead = np.arange(ask["horizon"])
    spread = np.asarray(fitted.resid)[-2 * season :].std()
    wider = spread * np.sqrt(1 + ahead * fitted.params["smoothing_level"] ** 2)
    return fitted.forecast(ask["horizon"])[:, None] + wider[:, None] * norm.ppf(QUANTILES)


def prophet(ask: Ask) -> Any:
    """Daily seasonality over means of five minutes, whose quantiles hold for each step inside."""
    import numpy as np
    from prophet import Prophet

    group = max(1, 5 // ask["minutes"])
    values = ask["values"][len(ask["values"]) % group :].reshape(-1, group).mean(axis=1)
    ahead = -(-ask["horizon"] // group)
    model = Prophet(
        daily_seasonality=True,
        weekly_seasonality=False,
        yearly_seasonality=False,
        uncertainty_samples=_DRAWN,
    )
    past, future = _frames(values, ahead, minutes=group * ask["minutes"])
    model.fit(past)
    drawn = np.quantile(model.predictive_samples(future)["yhat"], QUANTILES, axis=1).T
    return np.repeat(drawn, group, axis=0)[: ask["horizon"]]


def dynamo_constant(ask: Ask) -> Any:
    """The last value."""
    return _path(ask, ask["values"][-1])


def dynamo_arima(ask: Ask) -> Any:
    """The order that `auto_arima` finds; of logarithms where it finds that nothing carries on."""
    import numpy as np
    import pmdarima

    values = ask["values"]
    if np.ptp(values) == 0.0:
        return _path(ask, values[-1])
    quiet = {"suppress_warnings": True, "error_action": "ignore"}
    model = pmdarima.auto_arima(values, **quiet)
    if model.order[0] == 0 and model.order[2] == 0:
        logs = pmdarima.auto_arima(np.log1p(values), **quiet)
        return _path(ask, np.expm1(logs.predict(n_periods=ask["horizon"])))
    return _path(ask, model.predict(n_periods=ask["horizon"]))


def dynamo_kalman(ask: Ask) -> Any:
    """A local linear trend with the planner's default noises; its next value, held."""
    level, trend = ask["values"][0], 0.0
    p_level, p_cross, p_trend = 1000.0, 0.0, 1000.0
    for value in ask["values"][1:]:
        level += trend
        p_level += 2 * p_cross + p_trend + 1.0
        p_cross += p_trend
        p_trend += 0.1
        gain, gain_trend = p_level / (p_level + 10.0), p_cross / (p_level + 10.0)
        error = value - level
        level, trend = level + gain * error, trend + gain_trend * error
        p_trend -= gain_trend * p_cross
        p_level, p_cross = (1 - gain) * p_level, (1 - gain) * p_cross
    return _path(ask, level + trend)


def dynamo_prophet(ask: Ask) -> Any:
    """Prophet as it comes, over a window of fifty."""
    from prophet import Prophet

    past, future = _frames(ask["values"], ask["horizon"], minutes=ask["minutes"])
    model = Prophet()
    model.fit(past)
    return _path(ask, model.predict(future)["yhat"].to_numpy())


def _by_levels(model: Any, ask: Ask) -> Any:
    """Ask a model of statsforecast, which tells quantiles as the ends of central intervals."""
    import numpy as np

    levels = {quantile: round(abs(2 * quantile - 1) * 100, 6) for quantile in QUANTILES}
    told = model.forecast(
        ask["values"], ask["horizon"], level=sorted(set(levels.values()) - {0.0})
    )
    columns = [
        told["mean"] if level == 0 else told[f"{'lo' if quantile < 0.5 else 'hi'}-{level}"]
        for quantile, level in levels.items()
    ]
    return np.stack(columns, axis=1)


def _frames(values: Any, ahead: int, *, minutes: int) -> tuple[Any, Any]:
    import pandas as pd

    times = pd.date_range("2024-01-01", periods=len(values) + ahead, freq=f"{minutes}min")
    past = pd.DataFrame({"ds": times[: len(values)], "y": values})
    return past, pd.DataFrame({"ds": times[len(values) :]})


def _path(ask: Ask, expected: Any) -> Any:
    import numpy as np

    held = np.broadcast_to(expected, (ask["horizon"],))
    return np.repeat(held[:, None], len(QUANTILES), axis=1)


def _tell(answers: Any, value: Any) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


FORECASTERS: dict[str, Callable[[Ask], Any]] = {
    forecaster.__name__: forecaster
    for forecaster in (
        auto_arima, auto_ets, mstl, damped_ets, holt_winters, prophet,
        dynamo_constant, dynamo_arima, dynamo_kalman, dynamo_prophet,
    )
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
