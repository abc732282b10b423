"""The settings of the forecast reach the forecaster, and its pages answer beside the console's."""

import json

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from forecaster import roster
from telemetry import catalog
from telemetry.clock import ManualClock
from telemetry.publish import Metrics
from telemetry.series import Sample
from telemetry.sqlite_store import SqliteStore
from warmfront.config import Config
from warmfront.errors import ConfigError
from warmfront.forecasts import (
    add_forecast_pages,
    demand_retention,
    forecast_settings,
    forecasts_of,
)
from warmfront.state_dir import prepare

START = 1_700_000_000.0


@pytest.fixture
def store(tmp_path):
    return SqliteStore(tmp_path / "s.db", retention_seconds=1e6, clock=ManualClock(START))


def built(tmp_path, store, **forecast):
    config = Config().replaced("a test", forecast=forecast)
    clock = ManualClock(START)
    state = prepare(tmp_path / "state")
    return config, forecasts_of(config, state, reader=store, metrics=Metrics(), clock=clock)


def arrive(store, steps, *, step):
    counts = np.cumsum(np.random.default_rng(1).poisson(5 * step, steps))
    store.write(
        Sample(
            catalog.GATEWAY_ARRIVALS.name,
            {"model": "warmfront-tiny"},
            START - step * back,
            float(count),
        )
        for back, count in enumerate(counts[::-1])
    )


def test_every_setting_that_is_of_the_grid_reaches_the_forecaster():
    config = Config().replaced(
        "a test",
        forecast={
            "step_seconds": 60.0,
            "season_seconds": 86_400.0,
            "horizon_steps": 60,
            "history_seasons": 3,
        },
    )
    settings = forecast_settings(config)

    assert (settings.step_seconds, settings.season_steps) == (60.0, 1440)
    assert (settings.horizon_steps, settings.history_seasons) == (60, 3)


def test_demand_is_kept_for_all_of_the_history_and_a_season_more():
    kept = demand_retention(Config())

    assert set(kept.values()) == {15 * 86_400.0}
    assert catalog.GATEWAY_ARRIVALS.name in kept
    assert Config().telemetry.retention_hours * 3600 < 15 * 86_400.0


async def test_members_calendar_and_timezone_make_the_forecast(tmp_path, store):
    calendar = tmp_path / "days.toml"
    calendar.write_text(
        '[[event]]\nname = "launch"\nstart = 2023-11-14T22:14:00Z\nend = 2023-11-15T02:00:00Z\n'
        "factor = 3.0\n"
    )
    arrive(store, 200, step=60.0)
    grid = {"step_seconds": 60.0, "members": ["last value"], "history_seasons": 2}
    _, plain = built(tmp_path, store, **grid)
    _, told = built(tmp_path, store, **grid, calendar=str(calendar), timezone="Europe/Berlin")
    await plain.refresh()
    await told.refresh()

    assert list(plain.latest().weights) == ["last value"]
    ratio = told.latest().at_quantile(0.5)[-1] / plain.latest().at_quantile(0.5)[-1]
    assert ratio == pytest.approx(3.0, rel=0.3)


async def test_while_no_named_member_can_be_asked_the_quick_ones_are(tmp_path, store):
    arrive(store, 200, step=60.0)
    needs_more = {"step_seconds": 60.0, "members": ["holt-winters"], "history_seasons": 2}
    _, forecasts = built(tmp_path, store, **needs_more)
    await forecasts.refresh()

    quick = {model.name for model in roster.cheap()}
    assert set(forecasts.latest().weights) <= quick
    assert "last value" in forecasts.latest().weights


async def test_named_members_answer_alone_once_they_can(tmp_path, store):
    arrive(store, 3 * 1440, step=60.0)
    named = {"step_seconds": 60.0, "members": ["daily profile"], "history_seasons": 3}
    _, forecasts = built(tmp_path, store, **named)
    await forecasts.refresh()

    assert set(forecasts.latest().weights) == {"daily profile"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({"members": ["oracle"]}, r"forecast\.members: .*'oracle'", id="member"),
        pytest.param({"calendar": "gone.toml"}, r"forecast\.calendar: .*gone", id="calendar"),
        pytest.param({"timezone": "Europe/Nowhere"}, "forecast.timezone", id="time zone"),
        pytest.param({"season_seconds": 60.0, "timezone": "Europe/Berlin"}, "86400", id="no days"),
        pytest.param({"members": []}, "forecast.members", id="no member"),
    ],
)
def test_what_cannot_be_honoured_is_named_at_the_start(tmp_path, store, settings, said):
    with pytest.raises(ConfigError, match=said):
        built(tmp_path, store, **settings)


async def test_the_pages_answer_beside_others(tmp_path, store):
    arrive(store, 200, step=60.0)
    config, forecasts = built(tmp_path, store, step_seconds=60.0, history_seasons=2)
    await forecasts.refresh()
    app = web.Application()
    add_forecast_pages(app, forecasts, config)
    async with TestClient(TestServer(app)) as client:
        forecast = await (await client.get("/api/forecast?lead=60&window=300")).json()
        card = await (await client.get("/api/forecast/card")).json()

    assert forecast["origin"] == START // 60 * 60
    assert len(forecast["highest"]["values"]) == len(forecast["quantiles"])
    assert card["name"] == "warmfront-tiny"
    assert json.loads((tmp_path / "state" / "forecasts.json").read_text())["step"] == 60.0
