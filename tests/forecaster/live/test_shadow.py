"""Tenants are forecast apart beside the total, and used only once that has lost less."""

from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs

from forecaster.demand.demand import Demand
from forecaster.forecast import Forecast
from forecaster.live.shadow import Shadow
from forecaster.pipeline import ForecastSettings, Outcome
from forecaster.scenarios import Scenarios
from telemetry.series import Series, Window

STEP = 10.0
SETTINGS = ForecastSettings(STEP, season_steps=240, horizon_steps=1, quantiles=(0.1, 0.5, 0.9))
START = 1_000_000.0
TENANT, REST, TOTAL = 6.0, 4.0, 10.0


def demand(name, rate, origin):
    window = Window.ending(origin, step=STEP, points=30)
    return Demand(name, Series({}, window, np.full(30, rate)))


def expects(**rates):
    """Make forecasts that expect fixed rates of the total, of a tenant and of the rest."""

    def make(asked, settings):
        rate = rates[asked.name]
        return Outcome(
            Forecast(
                asked.origin, STEP, settings.quantiles, np.full((1, 3), rate), "fixed", 9,
                scenarios=Scenarios(np.full((settings.paths, 1), rate)),
            ),
            (),
        )  # fmt: skip

    return make


def play(make, turns, *, parts=True):
    """Let the same demand come again and again; return what was forecast."""
    shadow = Shadow(
        make,
        lambda total: [demand("tenant", TENANT, total.origin)] if parts else [],
        SETTINGS,
    )
    return [
        shadow(demand("total", TOTAL, START + STEP * turn), SETTINGS).forecast.model
        for turn in range(turns)
    ]


@pytest.mark.parametrize(
    ("rates", "used"),
    [
        pytest.param({"total": 12.0, "tenant": 6.0, "rest": 4.0}, "apart", id="apart is better"),
        pytest.param({"total": 10.0, "tenant": 7.0, "rest": 4.0}, "fixed", id="apart is worse"),
        pytest.param({"total": 11.0, "tenant": 7.0, "rest": 4.0}, "fixed", id="both alike"),
    ],
)
def test_the_one_that_lost_less_is_used(rates, used):
    with capture_logs() as logs:
        models = play(expects(**rates), 120)

    assert models[0] == "fixed"
    assert models[-1] == used
    assert len(logs) == int(used == "apart")


def test_it_is_in_the_shadow_until_enough_has_been_seen():
    short = play(expects(total=12.0, tenant=6.0, rest=4.0), 20)

    assert set(short) == {"fixed"}


def test_without_large_tenants_only_the_total_is_forecast():
    assert set(play(expects(total=12.0), 5, parts=False)) == {"fixed"}


def test_no_forecast_of_the_total_is_no_forecast():
    shadow = Shadow(lambda *_: None, lambda _: [], SETTINGS)

    assert shadow(demand("total", TOTAL, START), replace(SETTINGS, paths=0)) is None
