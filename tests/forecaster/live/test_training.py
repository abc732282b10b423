"""Slow models are fitted beside: no forecast waits for them, and none fails with them."""

from dataclasses import dataclass

import numpy as np
import pytest
from structlog.testing import capture_logs

from forecaster.history import History
from forecaster.live.training import FittedBeside

DAY = 86_400.0


@dataclass(frozen=True)
class Learnt:
    learnt_at: float
    history: History
    levels: tuple = (0.5,)

    def paths(self, origins, horizons):
        return np.zeros((origins.size, horizons.size, 1))

    def at(self, history):
        return Learnt(self.learnt_at, history)


class Slow:
    name = "slow"
    fails = False

    def can_fit(self, history):
        return history.size >= 3

    def fit(self, history):
        if self.fails:
            raise ValueError("it does not converge")
        return Learnt(history.end, history)


class Rigid(Slow):
    def fit(self, history):
        return object()


def history(at, size=5):
    return History(np.ones(size), 10.0, 4, at)


def beside(model, begun=None, told=None):
    return FittedBeside(
        model,
        begin=(lambda work: work()) if begun is None else begun.append,
        fitted=lambda name, worked: None if told is None else told.append((name, worked)),
    )


def test_it_can_be_asked_once_it_has_been_fitted_and_not_before():
    begun = []
    model = beside(Slow(), begun)

    assert not model.can_fit(history(0.0))
    begun.pop()()
    assert model.can_fit(history(10.0))
    assert begun == []


def test_what_was_learnt_looks_at_the_present_history():
    model = beside(Slow())
    model.can_fit(history(0.0))

    fitted = model.fit(history(50.0))

    assert (fitted.learnt_at, fitted.history.end) == (0.0, 50.0)


@pytest.mark.parametrize(("later", "learnt_at"), [(DAY - 1, 0.0), (DAY, DAY)])
def test_a_fit_serves_for_a_day(later, learnt_at):
    model = beside(Slow())
    model.can_fit(history(0.0))
    model.can_fit(history(later))

    assert model.fit(history(later)).learnt_at == learnt_at


def test_one_fit_runs_at_a_time():
    begun = []
    model = beside(Slow(), begun)
    for second in range(5):
        model.can_fit(history(float(second)))

    assert len(begun) == 1


def test_too_short_a_history_is_not_learnt_from():
    begun = []

    assert not beside(Slow(), begun).can_fit(history(0.0, size=2))
    assert begun == []


@pytest.mark.parametrize("later", [3599.0, 3600.0])
def test_a_fit_that_fails_is_told_and_tried_again_in_an_hour(later):
    slow, told = Slow(), []
    model = beside(slow, told=told)
    slow.fails = True
    with capture_logs() as logs:
        assert not model.can_fit(history(0.0))
    slow.fails = False
    model.can_fit(history(later))

    assert [log["why"] for log in logs] == ["it does not converge"]
    assert told == [("slow", False), ("slow", True)][: 1 + (later == 3600.0)]


def test_after_a_failed_fit_the_last_one_serves_on():
    slow = Slow()
    model = beside(slow)
    model.can_fit(history(0.0))
    slow.fails = True
    with capture_logs():
        assert model.can_fit(history(DAY))

    assert model.fit(history(DAY)).learnt_at == 0.0


def test_a_model_that_can_only_be_asked_of_its_own_history_is_refused():
    with capture_logs() as logs:
        assert not beside(Rigid()).can_fit(history(0.0))

    assert "cannot follow" in logs[0]["why"]


def test_it_is_fitted_in_a_thread_of_its_own():
    model = FittedBeside(Slow())
    while not model.can_fit(history(0.0)):
        pass

    assert model.fit(history(0.0)).learnt_at == 0.0
