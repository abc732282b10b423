"""Forecasts wait for their demand, are counted once it has come, and forgotten after a season."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecaster.live.tracking import (
    BLOCKS,
    begin_tracking,
    coverage,
    losses,
    matured_count,
    pit,
)


@pytest.mark.parametrize(
    ("step", "horizon", "steps"),
    [
        pytest.param(10.0, 30, [1, 30], id="five minutes"),
        pytest.param(60.0, 60, [1, 5, 15, 60], id="an hour"),
        pytest.param(60.0, 400, [1, 5, 15, 60], id="beyond the hour nothing is tracked"),
        pytest.param(900.0, 4, [1, 4], id="long steps"),
    ],
)
def test_the_next_step_and_the_end_of_each_bucket_are_tracked(step, horizon, steps):
    tracking = begin_tracking(step=step, season_steps=96, horizon_steps=horizon, quantiles=(0.5,))

    assert [track.steps for track in tracking.tracks] == steps


@pytest.mark.parametrize(
    ("rate", "bin_"),
    [
        pytest.param(0.5, 0, id="below all"),
        pytest.param(1.0, 0, id="at a quantile is covered by it"),
        pytest.param(1.1, 1, id="above it"),
        pytest.param(9.9, 3, id="at the last"),
        pytest.param(10.0, 4, id="above all"),
    ],
)
def test_demand_falls_between_two_quantiles(world, rate, bin_):
    tracking = world.told(world.tracking(horizon_steps=1), [rate])

    assert pit(tracking)[bin_] == 1.0
    assert list(coverage(tracking).values()) == [float(bin_ <= index) for index in range(4)]


def test_a_forecast_is_judged_once_at_each_horizon(world):
    tracking = world.tracking().remembering(world.forecast(world.start))
    tracking = tracking.matured(world.demand(world.start + 10, [5.0]))
    early = matured_count(tracking)
    tracking = tracking.matured(world.demand(world.start + 30, [5.0, 5.0, 5.0]))
    tracking = tracking.matured(world.demand(world.start + 40, [5.0, 5.0, 5.0, 5.0]))

    assert (early, matured_count(tracking)) == (1, 2)
    assert all(not track.awaited for track in tracking.tracks)


def test_of_two_forecasts_from_one_origin_the_first_counts(world):
    tracking = world.tracking(horizon_steps=1).remembering(world.forecast(world.start))
    tracking = tracking.remembering(world.forecast(world.start, levels=(20.0, 21.0, 22.0, 23.0)))
    tracking = tracking.matured(world.demand(world.start + 10, [5.0]))

    assert coverage(tracking) == {0.1: 0.0, 0.5: 1.0, 0.9: 1.0, 0.99: 1.0}


def test_the_loss_is_the_pinball_loss_by_seconds_ahead(world):
    tracking = world.told(world.tracking(horizon_steps=1), [5.0])

    # 4 above at .1, level at .5, 4 below at .9 and 4.9 below at .99, over four quantiles
    assert losses(tracking) == {10.0: pytest.approx((0.4 + 0.0 + 0.4 + 0.049) / 4)}


def test_a_gap_judges_nothing_and_is_dropped_once_it_is_late(world):
    tracking = world.tracking(horizon_steps=1).remembering(world.forecast(world.start))
    waiting = tracking.matured(world.demand(world.start + 300, [math.nan] * 30))
    dropped = tracking.matured(world.demand(world.start + 310, [math.nan] * 31))
    late = waiting.matured(world.demand(world.start + 305, [5.0, *[math.nan] * 29]))

    assert matured_count(waiting) == matured_count(dropped) == 0
    assert [len(one.tracks[0].awaited) for one in (waiting, dropped)] == [1, 0]
    assert matured_count(late) == 1


def test_what_is_a_season_old_is_forgotten(world):
    tracking = world.told(world.tracking(season_steps=24, horizon_steps=1), [5.0] * 10)
    recent = tracking.matured(world.demand(world.start + 240, [math.nan]))
    later = tracking.matured(world.demand(world.start + 400, [math.nan]))

    assert matured_count(recent) == 10
    assert matured_count(later) == 0


def test_memory_is_bounded_however_long_it_runs(world):
    tracking = world.told(world.tracking(season_steps=24, horizon_steps=3), [5.0] * 400)

    assert all(len(track.blocks) <= BLOCKS + 1 for track in tracking.tracks)
    assert all(len(track.awaited) <= 3 for track in tracking.tracks)


def test_a_clock_set_back_does_not_stop_the_tracking(world):
    tracking = world.told(world.tracking(horizon_steps=1), [5.0] * 3, start=world.start + 10_000)
    tracking = tracking.remembering(world.forecast(world.start + 11_000))
    before = matured_count(tracking)
    tracking = world.told(tracking, [5.0] * 3)

    assert matured_count(tracking) == before + 3


def test_nothing_is_known_where_nothing_has_matured(world):
    tracking = world.tracking()

    assert (pit(tracking), coverage(tracking), losses(tracking)) == ((), {}, {})


@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # the world has no state
)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12))
def test_shares_are_shares_and_coverage_rises_with_the_quantile(world, rates):
    tracking = world.told(world.tracking(), rates)
    covered = list(coverage(tracking).values())

    assert sum(pit(tracking)) == pytest.approx(1.0)
    assert covered == sorted(covered)
    assert all(0 <= share <= 1 + 1e-12 for share in covered)
    assert np.isfinite(list(losses(tracking).values())).all()
