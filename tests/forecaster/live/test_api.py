"""The forecast is asked over HTTP, and a question that makes no sense gets one clear answer."""

from dataclasses import replace

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from forecaster.forecast import Calibration, Doubt
from forecaster.live.api import add_forecast_routes
from forecaster.scenarios import Scenarios


@pytest.fixture
def forecast(world):
    rate = np.arange(15.0).reshape(5, 3)
    return replace(
        world.forecast(world.start),
        weights={"moving average": 0.75, "last value": 0.25},
        scenarios=Scenarios(rate, input_tokens=rate * 10),
        calibration=Calibration({0.9: 0.91}, 500),
        doubts=(Doubt.GAPS,),
    )


async def ask(forecast, path, card=None):
    app = web.Application()
    add_forecast_routes(app, lambda: forecast, lambda: card)
    async with TestClient(TestServer(app)) as client, client.get(path) as answer:
        return answer.status, await answer.json()


async def test_the_forecast_is_told_whole(world, forecast):
    status, body = await ask(forecast, "/api/forecast")

    assert status == 200
    assert body == {
        "origin": world.start,
        "step": 10.0,
        "unit": "requests/s",
        "model": "fixed",
        "quantiles": [0.1, 0.5, 0.9, 0.99],
        "times": [world.start + 10, world.start + 20, world.start + 30],
        "values": [[1.0, 5.0, 9.0, 9.9]] * 3,
        "weights": {"moving average": 0.75, "last value": 0.25},
        "doubts": ["gaps"],
        "may_scale_down": False,
        "calibration": {"coverage": {"0.9": 0.91}, "errors": 500, "loss": None},
    }


@pytest.mark.parametrize(
    ("query", "begins", "ends"),
    [
        pytest.param("lead=10&window=10", 10, 20, id="a window"),
        pytest.param("window=20", 0, 20, id="from now on"),
        pytest.param("lead=5", 5, 30, id="to the end of the horizon"),
        pytest.param("lead=10&window=900", 10, 30, id="beyond it there is nothing"),
    ],
)
async def test_the_highest_of_a_window_can_be_asked(world, forecast, query, begins, ends):
    _, body = await ask(forecast, f"/api/forecast?{query}")
    highest = forecast.highest(lead=begins, window=ends - begins)

    assert body["highest"]["begins"] == world.start + begins
    assert body["highest"]["ends"] == world.start + ends
    np.testing.assert_allclose(body["highest"]["values"], highest.values, rtol=1e-5)


async def test_some_of_the_paths_can_be_asked_and_are_picked_evenly(forecast):
    _, body = await ask(forecast, "/api/forecast?paths=2")

    assert body["paths"] == {
        "rate": [[0.0, 1.0, 2.0], [12.0, 13.0, 14.0]],
        "input_tokens": [[0.0, 10.0, 20.0], [120.0, 130.0, 140.0]],
        "output_tokens": None,
    }


@pytest.mark.parametrize(
    ("query", "said"),
    [
        pytest.param("lead=soon", "lead in seconds, 0 at least, got 'soon'", id="no number"),
        pytest.param("lead=-1", "got '-1'", id="before now"),
        pytest.param("lead=nan", "got 'nan'", id="not a number"),
        pytest.param("lead=30", "within the 30 s that are forecast, got 30", id="too far"),
        pytest.param("window=0", "window in seconds, 10 at least", id="no window"),
        pytest.param("window=inf", "got 'inf'", id="endless"),
        pytest.param("paths=6", "from 0 to 5, got '6'", id="more paths than there are"),
        pytest.param("paths=-1", "from 0 to 5", id="fewer than none"),
        pytest.param("paths=1e9", "from 0 to 5", id="no whole number"),
        pytest.param("path=1", "no parameter 'path'; there are lead, window, paths", id="typo"),
    ],
)
async def test_a_bad_parameter_gets_one_clear_answer(forecast, query, said):
    status, body = await ask(forecast, f"/api/forecast?{query}")

    assert status == 400
    assert said in body["error"]


async def test_without_paths_none_can_be_asked(world):
    status, body = await ask(world.forecast(world.start), "/api/forecast?paths=1")

    assert (status, "from 0 to 0" in body["error"]) == (400, True)


async def test_while_there_is_no_forecast_that_is_said():
    assert (await ask(None, "/api/forecast?lead=x"))[0] == 503
    assert (await ask(None, "/api/forecast/card"))[0] == 503


async def test_the_card_is_told(forecast):
    assert await ask(forecast, "/api/forecast/card", {"name": "m"}) == (200, {"name": "m"})
    assert (await ask(forecast, "/api/forecast/card?x=1", {}))[0] == 400
