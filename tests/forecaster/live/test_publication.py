"""What is known of the forecast is shown, what is not is absent, and nothing stale stays."""

from dataclasses import replace

import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.forecast import Doubt, Forecast
from forecaster.live.publication import LEAST_MATURED, Publication
from forecaster.scenarios import Scenarios
from telemetry import catalog
from telemetry.publish import Metrics
from telemetry.series import Series, Window


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def shown(metrics):
    def rows(metric, *labels):
        return {
            ",".join(sample.labels[name] for name in labels): sample.value
            for sample in metrics.samples(0.0)
            if sample.name == metric.name
        }

    return rows


def ahead(steps=90):
    values = np.outer(np.arange(1.0, steps + 1), [1.0, 2.0, 3.0, 4.0])
    return Forecast(1000.0, 10.0, (0.1, 0.5, 0.9, 0.99), values, "fixed", 100)


def test_the_band_ahead_is_shown_as_far_as_it_reaches(metrics, shown):
    Publication(metrics, "m").show(ahead())

    assert shown(catalog.FORECAST, "quantile") == {"0.1": 1.0, "0.5": 2.0, "0.9": 3.0}
    assert shown(catalog.FORECAST_AHEAD, "quantile", "horizon") == {
        "0.1,60": 6.0, "0.5,60": 12.0, "0.9,60": 18.0, "0.99,60": 24.0,
        "0.1,300": 30.0, "0.5,300": 60.0, "0.9,300": 90.0, "0.99,300": 120.0,
        "0.1,900": 90.0, "0.5,900": 180.0, "0.9,900": 270.0, "0.99,900": 360.0,
    }  # fmt: skip
    assert shown(catalog.FORECAST_ORIGIN, "model") == {"m": 1000.0}


def test_how_much_is_not_learnt_from_is_shown_while_demand_is_known(metrics, shown):
    publication = Publication(metrics, "m")
    demand = Demand("m", Series({}, Window(0.0, 30.0, 10.0), np.ones(4)))

    publication.show_ignored(demand)
    assert shown(catalog.FORECAST_IGNORED, "model") == {"m": 0.0}
    publication.show_ignored(replace(demand, ignored=np.array([True, False, False, False])))
    assert shown(catalog.FORECAST_IGNORED, "model") == {"m": 0.25}
    publication.show_ignored(None)
    assert shown(catalog.FORECAST_IGNORED, "model") == {}


def test_the_highest_within_a_time_is_shown(metrics, shown):
    forecast = ahead()
    Publication(metrics, "m").show(forecast)

    assert shown(catalog.FORECAST_HIGHEST, "quantile", "window")["0.9,300"] == forecast.highest(
        lead=0.0, window=300.0
    ).at(0.9)


def test_weights_doubts_and_lengths_are_shown(metrics, shown):
    rate = np.ones((2, 90))
    forecast = replace(
        ahead(),
        weights={"a": 0.75, "b": 0.25},
        doubts=(Doubt.LATE,),
        scenarios=Scenarios(rate, input_tokens=rate * [[100.0], [300.0]]),
    )
    Publication(metrics, "m").show(forecast)

    assert shown(catalog.FORECAST_WEIGHT, "member") == {"a": 0.75, "b": 0.25}
    assert shown(catalog.FORECAST_DOUBT, "doubt") == {
        "gaps": 0.0, "late": 1.0, "short_history": 0.0, "uncalibrated": 0.0,
    }  # fmt: skip
    assert shown(catalog.FORECAST_REQUEST_TOKENS, "kind", "horizon") == {
        "input,60": 200.0, "input,300": 200.0, "input,900": 200.0,
    }  # fmt: skip


def test_without_a_forecast_nothing_stays(metrics):
    publication = Publication(metrics, "m")
    publication.show(ahead())
    publication.show(None)

    assert [s for s in metrics.samples(0.0) if s.name != catalog.FORECAST_ERRORS.name] == []


@pytest.mark.parametrize("steps", [LEAST_MATURED - 1, LEAST_MATURED])
def test_how_forecasts_fared_is_shown_once_enough_have_matured(metrics, shown, world, steps):
    tracking = world.told(world.tracking(horizon_steps=1), [5.0] * steps)
    Publication(metrics, "m").show_past(tracking)

    is_enough = steps == LEAST_MATURED
    covered = {"0.1": 0.0, "0.5": 1.0, "0.9": 1.0, "0.99": 1.0}
    bins = {"0.1": 0.0, "0.5": 1.0, "0.9": 0.0, "0.99": 0.0, "1": 0.0}
    assert shown(catalog.FORECAST_MATURED, "model") == {"m": float(steps)}
    assert shown(catalog.FORECAST_COVERAGE, "quantile") == (covered if is_enough else {})
    assert shown(catalog.FORECAST_PIT, "bin") == (bins if is_enough else {})
    assert list(shown(catalog.FORECAST_LOSS, "horizon")) == (["10"] if is_enough else [])


def test_errors_and_the_time_it_takes_are_counted(metrics, shown):
    publication = Publication(metrics, "m")
    publication.failed()
    publication.took(0.3)
    counts = {sample.name: sample.value for sample in metrics.samples(0.0)}

    assert counts[catalog.FORECAST_ERRORS.name] == 1.0
    assert counts[f"{catalog.FORECAST_DURATION.name}_sum"] == pytest.approx(0.3)
