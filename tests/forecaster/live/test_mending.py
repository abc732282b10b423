"""What tells nothing is not learnt from, is told once, and never changes what was seen."""

import numpy as np
import pytest
from structlog.testing import capture_logs

from forecaster.condition.condition import examine
from forecaster.demand.demand import Demand
from forecaster.live.mending import Mending
from forecaster.pipeline import ForecastSettings, make_forecast
from telemetry.series import Series, Window

STEP, SEASON = 300.0, 288
HOUR = 12  # steps
START = 1_700_000_100.0
DOWN = slice(700, 712)


def counts(days=6):
    clock = np.arange(days * SEASON) / SEASON
    return np.random.default_rng(1).poisson(200 * (1 + 0.8 * np.sin(2 * np.pi * clock))) / 300.0


def with_outage(days=6):
    values = counts(days)
    values[DOWN] = 0.0
    return values


def demand(values, *, first=0, **more):
    """Return demand whose first value is that of step `first`."""
    start = START + STEP * first
    return Demand(
        "m", Series({}, Window(start, start + STEP * (values.size - 1), STEP), values), **more
    )


def mending():
    return Mending(season=SEASON, model="m")


class Counted:
    """Looks demand over, counts how often, and fails while it is broken."""

    def __init__(self):
        self.times = 0
        self.is_broken = False

    def __call__(self, seen):
        self.times += 1
        if self.is_broken:
            raise ValueError("no such day")
        return examine(seen, season=SEASON)


def ignored(mended):
    return [] if mended.ignored is None else np.flatnonzero(mended.ignored).tolist()


def test_an_outage_that_reads_zero_is_not_learnt_from_and_stays_what_it_reads():
    values = with_outage()
    mended = mending().mended(demand(values, repairs=("Before.",)))

    assert ignored(mended) == list(range(DOWN.start, DOWN.stop))
    assert np.isnan(mended.telling[DOWN]).all()
    np.testing.assert_array_equal(values, mended.rate.values)
    assert mended.repairs[0] == "Before."
    assert "reads 0 for 1 h" in mended.repairs[1]


def test_a_stuck_counter_is_not_learnt_from():
    values = counts()
    values[1000:1010] = 0.7

    assert ignored(mending().mended(demand(values))) == list(range(1000, 1010))


def test_a_quiet_night_is_learnt_from():
    values = counts()
    values[np.arange(values.size) % SEASON >= SEASON - 60] = 0.0
    quiet = demand(values)

    assert mending().mended(quiet) is quiet


def test_the_forecast_is_that_of_demand_without_the_outage():
    settings = ForecastSettings(STEP, season_steps=SEASON, horizon_steps=HOUR, paths=0)
    values = counts()
    # An hour at the same time as what is forecast, a day before.
    values[-SEASON : -SEASON + HOUR] = 0.0
    gap = values.copy()
    gap[-SEASON : -SEASON + HOUR] = np.nan

    learnt, mended, known = (
        make_forecast(one, settings).forecast.at_quantile(0.5)
        for one in (demand(values), mending().mended(demand(values)), demand(gap))
    )

    np.testing.assert_allclose(known, mended)
    assert np.abs(known - learnt).max() > 0


def test_what_is_ignored_is_so_by_its_time_while_the_history_moves():
    one, values = mending(), with_outage()
    one.mended(demand(values))
    later = one.mended(demand(values[2:], first=2))

    assert ignored(later) == list(range(DOWN.start - 2, DOWN.stop - 2))


def test_new_steps_are_learnt_from_until_the_next_look():
    one, values = mending(), counts()
    seen = values.size - 3 * HOUR
    values[seen + 2 : seen + 5] = 0.0

    assert ignored(one.mended(demand(values[:seen]))) == []
    assert ignored(one.mended(demand(values[: seen + HOUR - 1]))) == []
    assert ignored(one.mended(demand(values[: seen + HOUR]))) == [seen + 2, seen + 3, seen + 4]


@pytest.mark.parametrize("stop", [1200 + HOUR, 1200 + 5 * HOUR], ids=["an hour", "five"])
def test_that_demand_has_stopped_is_believed_until_it_is_back(stop):
    values = counts()[: stop + 1]
    values[1200:stop] = 0.0
    values[-1] = 1.0

    assert ignored(mending().mended(demand(values[:stop]))) == []
    assert ignored(mending().mended(demand(values))) == list(range(1200, stop))


def test_an_outage_that_a_gap_follows_may_still_last():
    values = counts()
    values[-20:-10] = 0.0
    values[-10:] = np.nan

    assert ignored(mending().mended(demand(values))) == []


@pytest.mark.parametrize(
    ("steps", "looks"),
    [
        pytest.param([0, 1, HOUR - 1], 1, id="within the hour"),
        pytest.param([0, HOUR, 2 * HOUR - 1, 2 * HOUR], 3, id="each hour"),
        pytest.param([HOUR, 0, 1], 2, id="after a clock was set back"),
    ],
)
def test_demand_is_looked_over_once_an_hour(steps, looks):
    look, values = Counted(), counts()
    one = Mending(season=SEASON, model="m", examine=look)
    for step in steps:
        one.mended(demand(values[: 4 * SEASON + step]))

    assert look.times == looks


def test_demand_is_looked_over_when_more_of_the_past_is_known():
    look, values = Counted(), with_outage()
    one = Mending(season=SEASON, model="m", examine=look)
    one.mended(demand(values[900:], first=900))

    assert ignored(one.mended(demand(values))) == list(range(DOWN.start, DOWN.stop))
    assert look.times == 2


def test_after_a_restart_the_same_is_ignored_at_once():
    seen = demand(with_outage())

    assert ignored(mending().mended(seen)) == ignored(mending().mended(seen)) != []


def test_each_finding_is_told_once():
    one, values = mending(), with_outage()
    values[1500:1510] = 0.0
    with capture_logs() as logs:
        for step in (1400, 1400 + HOUR, 1500 + 2 * HOUR, 1500 + 3 * HOUR):
            one.mended(demand(values[:step]))

    lengths = ["reads 0 for 1 h,", "reads 0 for 50 min,"]
    assert [said in log["found"] for said, log in zip(lengths, logs, strict=True)] == [True, True]
    assert {log["model"] for log in logs} == {"m"}


def test_where_a_look_fails_the_last_one_holds_and_the_log_says_so_once():
    look, values = Counted(), with_outage()
    one = Mending(season=SEASON, model="m", examine=look)
    one.mended(demand(values[: 4 * SEASON]))
    look.is_broken = True
    with capture_logs() as logs:
        later = [one.mended(demand(values[: 4 * SEASON + HOUR * hour])) for hour in (1, 2)]

    assert [ignored(mended) for mended in later] == [list(range(DOWN.start, DOWN.stop))] * 2
    assert [log["why"] for log in logs] == ["no such day"]


@pytest.mark.parametrize(
    "values",
    [np.array([np.nan]), np.array([0.0]), np.ones(5), np.full(50, np.nan)],
    ids=["a gap", "a zero", "a few", "gaps"],
)
def test_little_demand_is_left_as_it_is(values):
    little = demand(values)

    assert mending().mended(little) is little


def test_what_was_ignored_before_stays_ignored():
    flags = np.zeros(6 * SEASON, np.bool_)
    flags[5] = True
    mended = mending().mended(demand(with_outage(), ignored=flags))

    assert ignored(mended) == [5, *range(DOWN.start, DOWN.stop)]
