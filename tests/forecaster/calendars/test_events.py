import numpy as np
import pytest

from forecaster.calendars.calendar import Calendar, Event
from forecaster.calendars.events import event_factors, learned_factors
from forecaster.demand.demand import Demand
from telemetry.series import Series, Window

STEP = 900.0
DAY = 86400.0
DAYS = 10


def demand(*events: Event, factor: float = 3.0) -> Demand:
    window = Window(STEP, DAYS * DAY, STEP)
    rng = np.random.default_rng(0)
    values = rng.poisson(900 * (1 + 0.8 * np.sin(2 * np.pi * window.times / DAY))) / STEP
    for event in events:
        values[event.during(window.times, STEP)] *= factor
    return Demand("a", Series({}, window, values))


def launch(day: float, factor: float | None = None, name: str = "launch") -> Event:
    start = day * DAY + 9 * 3600
    return Event(name, start, start + 2 * 3600, factor)


def test_a_factor_is_learned_from_events_of_the_name():
    earlier = (launch(3), launch(6))
    others = (launch(5, name="other"), launch(20))

    learned = learned_factors(demand(*earlier), Calendar((), (*earlier, *others)))

    assert learned["launch"] == pytest.approx(3.0, rel=0.1)
    assert learned["other"] == pytest.approx(1.0, rel=0.1)


def test_what_has_not_been_seen_is_not_learned():
    assert learned_factors(demand(), Calendar((), (launch(20),))) == {}


def test_a_given_factor_goes_before_a_learned_one_and_two_events_multiply():
    calendar = Calendar((), (launch(1, 2.0), launch(1), launch(2), launch(3, name="unknown")))
    ends = np.array([1, 2, 3, 4]) * DAY + 10 * 3600

    factors, unknown = event_factors(ends, STEP, calendar, {"launch": 5.0})

    assert factors.tolist() == [10.0, 5.0, 1.0, 1.0]
    assert unknown.tolist() == [False, False, True, False]
