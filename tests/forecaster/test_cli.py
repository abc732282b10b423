import io
import json
from pathlib import Path

import numpy as np
import pytest

from forecaster.cli import run


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Ten "days" of an hour each, in minutes, busy in their first half."""
    path = tmp_path / "demand.csv"
    rng = np.random.default_rng(1)
    counts = [rng.poisson(600 if minute % 60 < 30 else 120) for minute in range(600)]
    path.write_text("minute,requests\n" + "".join(f"{m},{c}\n" for m, c in enumerate(counts)))
    return path


def forecast(path: Path, *, step: float = 60.0, season: float = 3600.0, as_json: bool) -> str:
    out, errors = io.StringIO(), io.StringIO()
    status = run(
        path, step=step, season=season, horizon_steps=4, as_json=as_json, out=out, errors=errors
    )
    assert (status, errors.getvalue()) == (0, "")
    return out.getvalue()


def refused(path: Path, *, step: float = 60.0, season: float = 3600.0) -> str:
    out, errors = io.StringIO(), io.StringIO()
    status = run(
        path, step=step, season=season, horizon_steps=4, as_json=False, out=out, errors=errors
    )
    assert (status, out.getvalue()) == (1, "")
    return errors.getvalue()


def test_the_json_has_the_forecast_and_how_far_to_trust_it(trace: Path) -> None:
    result = json.loads(forecast(trace, as_json=True))

    assert result["model"] == "seasonal naive"
    assert result["unit"] == "requests/s"
    assert len(result["values"]) == 4
    assert result["values"][0][1] == pytest.approx(10, rel=0.2)
    assert [card["model"] for card in result["backtest"]] == [
        "seasonal naive",
        "exponential smoothing",
    ]
    assert 0.8 <= result["backtest"][0]["coverage"]["0.9"] <= 1.0


def test_the_table_names_the_trace_the_model_and_the_quantiles(trace: Path) -> None:
    table = forecast(trace, as_json=False)

    for expected in ("demand.csv", "seasonal naive", "1 min", "4 min", "p50", "p99", "p99"):
        assert expected in table


def test_a_short_trace_is_forecast_without_a_score(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("minute,requests\n0,60\n1,60\n2,60\n")
    result = json.loads(forecast(path, as_json=True))

    assert result["backtest"] == [
        {"model": "exponential smoothing", "pinball": None, "coverage": {}}
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("minute,requests\n0,1\n1,2\n", "too little demand", id="too short"),
        pytest.param("minute,requests\n0,-1\n", ":2: expected a number", id="a bad row"),
    ],
)
def test_a_trace_that_cannot_be_forecast_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)

    assert message in refused(path)


def test_a_season_that_is_no_multiple_of_the_step_is_refused(trace: Path) -> None:
    assert "whole number of steps" in refused(trace, step=7.0)
    assert "whole number of steps" in refused(trace, step=0.0)
    assert "at least one step" in refused(trace, season=0.0)
