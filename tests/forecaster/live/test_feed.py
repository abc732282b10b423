"""Only the newest demand is read again, and the feed is as if the whole had been."""

import numpy as np
import pytest

from forecaster.demand.demand import Demand
from forecaster.live.feed import Feed
from telemetry.series import Series, Window
from telemetry.store import StoreUnavailableError

STEP, SEASON, POINTS = 10.0, 20, 60
START = 1_000_000.0


class Told:
    """Demand that is known at some times, and a count of how much of it was read."""

    def __init__(self):
        self.rates = {}
        self.tokens = {}
        self.read_points = []
        self.away = False

    def tell(self, first, rates):
        for index, rate in enumerate(rates):
            self.rates[first + STEP * index] = rate

    def __call__(self, window):
        if self.away:
            raise StoreUnavailableError("the disk is gone")
        self.read_points.append(window.size)
        tokens = self._on(self.tokens, window) if self.tokens else None
        return Demand("m", self._on(self.rates, window), input_tokens=tokens)

    def _on(self, known, window):
        return Series({}, window, np.array([known.get(at, np.nan) for at in window.times]))


@pytest.fixture
def told():
    return Told()


def feed_of(told):
    return Feed(told, step=STEP, points=POINTS, season=SEASON)


def test_the_whole_is_read_once_and_then_the_end(told):
    told.tell(START - 10 * 59, np.arange(60.0))
    feed = feed_of(told)
    feed.read(START)
    told.tell(START + 10, [60.0])

    demand = feed.read(START + 10)

    assert told.read_points == [POINTS, 31]
    np.testing.assert_array_equal(demand.rate.values, np.arange(1.0, 61.0))
    assert demand.origin == START + 10


def test_what_becomes_known_minutes_late_is_still_seen(told):
    told.tell(START - 10 * 59, [1.0] * 59)
    feed = feed_of(told)
    feed.read(START)
    told.tell(START, [5.0, 6.0])

    demand = feed.read(START + 10)

    np.testing.assert_array_equal(demand.rate.values[-2:], [5.0, 6.0])


def test_little_history_is_read_whole_for_it_may_be_told_only_now(told):
    told.tell(START - 30, [1.0] * 4)
    feed = feed_of(told)
    assert feed.read(START).size == 4
    told.tell(START - 10 * 50, [2.0] * 47)

    assert feed.read(START + 10).size == 52


def test_after_an_hour_the_whole_is_read_again(told):
    told.tell(START - 10 * 59, [1.0] * 1000)
    feed = feed_of(told)
    for second in range(0, 3700, 100):
        feed.read(START + second)

    assert told.read_points.count(POINTS) == 2


@pytest.mark.parametrize("seconds", [0.0, 10.0, 250.0, 590.0, 5000.0, -100.0])
def test_whenever_it_is_read_it_is_as_if_the_whole_had_been(told, seconds):
    rng = np.random.default_rng(3)
    rates = np.where(rng.random(800) < 0.2, np.nan, rng.random(800))
    told.tell(START - 10 * 59, rates)
    told.tokens = {at: 7.0 * rate for at, rate in told.rates.items()}
    feed = feed_of(told)
    feed.read(START)

    demand, whole = feed.read(START + seconds), feed_of(told).read(START + seconds)

    assert demand.window.end == whole.window.end
    np.testing.assert_array_equal(demand.rate.values[-whole.size :], whole.rate.values)
    np.testing.assert_array_equal(
        demand.input_tokens.values[-whole.size :], whole.input_tokens.values
    )


def test_tokens_that_begin_later_have_a_gap_before(told):
    told.tell(START - 10 * 59, [1.0] * 70)
    feed = feed_of(told)
    feed.read(START)
    told.tokens = {START + 10: 3.0}

    demand = feed.read(START + 10)

    assert demand.input_tokens.values[-1] == 3.0
    assert np.isnan(demand.input_tokens.values[:-1]).all()


def test_a_store_that_is_away_is_an_error_and_nothing_known_is_a_gap(told):
    feed = feed_of(told)
    nothing = feed.read(START)
    told.away = True
    with pytest.raises(StoreUnavailableError):
        feed.read(START + 10)
    told.away = False
    told.tell(START + 20, [4.0])

    assert np.isnan(nothing.rate.values).all()
    assert feed.read(START + 20).rate.values.tolist() == [4.0]


def test_the_window_of_the_feed_is_that_of_the_grid(told):
    feed = feed_of(told)

    assert feed.read(START + 9.9).window == Window(START, START, STEP)
