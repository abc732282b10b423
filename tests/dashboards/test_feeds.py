import numpy as np
import pytest

from dashboards.console.feeds import as_anomaly, as_decision, as_outlook, as_replica
from forecaster.forecast import Forecast


def test_a_forecast_is_drawn_at_its_three_quantiles():
    values = np.array([[1.0, 2.0, 4.0], [2.0, 3.0, np.nan]])
    forecast = Forecast(100.0, 10.0, (0.1, 0.5, 0.9), values, "naive", residuals=3)

    drawn = as_outlook(forecast)

    assert drawn is not None
    assert drawn.times == (110.0, 120.0)
    assert drawn.band.low == (1.0, 2.0)
    assert drawn.band.middle == (2.0, 3.0)
    assert drawn.band.high == (4.0, None)


def test_no_forecast_yet_is_nothing_to_draw():
    assert as_outlook(None) is None


def test_a_decision_without_numbers_still_has_its_sentence():
    row = {"at": 5, "reason": "held", "sentence": "Nothing changed.", "serving": None}

    decision = as_decision(row)

    assert (decision.at, decision.sentence, decision.serving) == (5.0, "Nothing changed.", None)
    assert decision.numbers == {}


def test_a_decision_without_a_sentence_is_refused():
    with pytest.raises(KeyError, match="sentence"):
        as_decision({"at": 5, "reason": "held"})


def test_a_replica_that_does_not_answer_has_no_numbers():
    replica = as_replica({"id": "r1", "state": "failed", "pid": 7, "in_flight": None})

    assert (replica.pid, replica.in_flight, replica.waiting, replica.since) == (
        7,
        None,
        None,
        None,
    )


def test_an_anomaly_that_lasts_has_no_end():
    assert as_anomaly({"at": 1.0, "signal": "demand"}).until is None
