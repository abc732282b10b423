"""The live card tells of the present forecast, and nothing before there is one."""

import json

import numpy as np

from forecaster.live.card import LiveCard
from forecaster.live.service import ForecastService
from forecaster.pipeline import ForecastSettings
from telemetry import catalog
from telemetry.clock import ManualClock
from telemetry.publish import Metrics
from telemetry.series import Sample
from telemetry.sqlite_store import SqliteStore

SETTINGS = ForecastSettings(10.0, season_steps=12, horizon_steps=3)
START = 1_000_000.0


async def test_the_card_follows_the_forecast(tmp_path):
    clock = ManualClock(START)
    store = SqliteStore(tmp_path / "store.db", retention_seconds=1e6, clock=clock)
    service = ForecastService(store, Metrics(), clock, SETTINGS, model="m")
    card = LiveCard(service, SETTINGS)
    nothing = card()
    counts = np.cumsum(np.random.default_rng(1).poisson(40, 48))
    store.write(
        Sample(catalog.GATEWAY_ARRIVALS.name, {"model": "m"}, START - 10.0 * back, float(count))
        for back, count in enumerate(counts[::-1])
    )
    await service.refresh()

    told = card()

    assert nothing is None
    assert told["name"] == "m"
    assert told["made_at"] == START
    assert [member["name"] for member in told["members"]]
    assert json.dumps(told, allow_nan=False)
    assert card() == told
