import json
from dataclasses import replace

import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.describing.card import ModelCard, installed_version, make_card
from forecaster.forecast import Doubt, Forecast
from forecaster.pipeline import ForecastSettings, Member, Outcome
from forecaster.scoring.backtest import Backtest
from telemetry.series import Series, Window

SETTINGS = ForecastSettings(60.0, 1440, 3, quantiles=(0.5, 0.9, 0.99))
RATES = np.append(np.arange(1.0, 10.0), np.nan)
DEMAND = Demand(
    "chat", Series({}, Window(60.0, 600.0, 60.0), RATES), repairs=("One line was repeated.",)
)
FORECAST = Forecast(600.0, 60.0, SETTINGS.quantiles, np.ones((3, 3)), "combination", 900)
OUTCOME = Outcome(FORECAST, (Member("ma-15", 0.8, (0.8,) * 3, 0.1),))


def covering(share: float, *, origins: int = 40) -> Backtest:
    """Return a backtest in which so much of demand is at or below each quantile."""
    actual = np.where(np.arange(origins * 3).reshape(origins, 3) < share * origins * 3, 0.5, 2.0)
    told = np.ones((origins, 3, 3))
    return Backtest(
        np.arange(origins), 60.0, SETTINGS.quantiles, actual, told, told * 9, told * 0.9,
        np.ones(origins),
    )  # fmt: skip


def card(outcome: Outcome = OUTCOME, backtest: Backtest | None = None) -> ModelCard:
    return make_card(
        DEMAND, SETTINGS, outcome, now=1000.0, tested=backtest, description=("It is short.",),
        of_version="1.2.3",
    )  # fmt: skip


def test_a_card_says_what_was_fitted_to_what() -> None:
    found = card(backtest=covering(0.9))

    assert (found.name, found.version, found.made_at) == ("chat", "1.2.3", 1000.0)
    assert (found.data.begins, found.data.ends, found.data.steps) == (0.0, 600.0, 10)
    assert found.data.gaps == pytest.approx(0.1)
    assert found.data.repairs == ("One line was repeated.",)
    assert found.settings["horizon_steps"] == 3
    assert found.members[0].name == "ma-15"
    assert found.origins == 40
    assert [(one.begins, one.ends) for one in found.by_horizon] == [(0, 3)]


def test_the_json_of_a_card_has_no_nan() -> None:
    unknown = replace(OUTCOME, members=(Member("ma-15", 1.0, (1.0,) * 3, float("nan")),))

    found = json.loads(json.dumps(card(unknown, covering(0.9)).as_json(), allow_nan=False))

    assert found["members"][0]["loss"] is None
    assert found["overall"]["coverage"]["0.9"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("outcome", "backtest", "limit"),
    [
        pytest.param(OUTCOME, None, "It was not tested", id="not tested"),
        pytest.param(OUTCOME, covering(0.9, origins=0), "It was not tested", id="no origins"),
        pytest.param(OUTCOME, covering(0.6), "60.0% of demand was at or below its 0.9", id="off"),
        pytest.param(OUTCOME, covering(1.0), "times what the last value would", id="no gain"),
        pytest.param(
            replace(OUTCOME, forecast=replace(FORECAST, residuals=20)), None,
            "rest on 20 past errors", id="few errors",
        ),
        pytest.param(
            replace(OUTCOME, forecast=replace(FORECAST, doubts=(Doubt.GAPS,))), None,
            "Too much of the recent demand is unknown.", id="a doubt of the forecast",
        ),
    ],
)  # fmt: skip
def test_a_card_says_where_it_is_to_be_doubted(
    outcome: Outcome, backtest: Backtest | None, limit: str
) -> None:
    assert any(limit in line for line in card(outcome, backtest).limits)


def test_every_doubt_has_a_sentence() -> None:
    doubting = replace(OUTCOME, forecast=replace(FORECAST, doubts=tuple(Doubt)))

    assert len(card(doubting).limits) >= len(Doubt) + 1


def test_the_version_is_the_one_that_runs() -> None:
    assert make_card(DEMAND, SETTINGS, OUTCOME, now=0.0).version == installed_version() != ""
