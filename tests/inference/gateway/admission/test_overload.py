"""Admission against simulated replicas: what is served in time when more comes than can be."""

import numpy as np
import pytest

from inference.gateway.admission.decision import TurnedAway
from inference.gateway.admission.settings import AdmissionSettings
from inference.gateway.tenancy.priority import Priority
from tests.inference.gateway.admission.simulated_tier import (
    MEAN_WORK,
    Tier,
    goodput,
    poisson,
)

SETTINGS = AdmissionSettings()
OFF = AdmissionSettings(is_on=False, max_waiting=10**6, max_waiting_tokens=10**9)


def served_in_time(requests, priority, *, since=0.0):
    ones = [one for one in requests if one.priority is priority and one.at >= since]
    return sum(one.is_good(SETTINGS) for one in ones) / len(ones)


@pytest.mark.parametrize("seed", range(3))
def test_at_three_times_the_capacity_nine_tenths_of_it_are_served_in_time(seed):
    tier = Tier(SETTINGS)
    capacity = tier.rate / MEAN_WORK
    requests = poisson(3 * capacity, 60.0, seed=seed)
    tier.run(requests, until=60.0)

    assert goodput(requests, SETTINGS, since=10.0, until=55.0) >= 0.9 * capacity


def test_without_admission_everybody_waits_and_nobody_is_served_in_time():
    tier = Tier(OFF)
    capacity = tier.rate / MEAN_WORK
    requests = poisson(3 * capacity, 60.0, seed=0)
    tier.run(requests, until=60.0)

    assert goodput(requests, SETTINGS, since=10.0, until=55.0) <= 0.1 * capacity


def test_urgent_requests_do_not_feel_a_flood_of_batches():
    tier = Tier(SETTINGS)
    capacity = tier.rate / MEAN_WORK
    urgent = poisson(0.5 * capacity, 60.0, seed=1, priorities={Priority.INTERACTIVE: 1.0})
    flood = poisson(2.5 * capacity, 60.0, seed=2, priorities={Priority.BATCH: 1.0})
    tier.run([*urgent, *flood], until=60.0)

    assert served_in_time(urgent, Priority.INTERACTIVE, since=5.0) >= 0.97
    assert all(one.turned_away is None for one in urgent)
    assert goodput([*urgent, *flood], SETTINGS, since=10.0, until=55.0) >= 0.85 * capacity


def test_nobody_is_turned_away_below_capacity():
    tier = Tier(SETTINGS)
    requests = poisson(0.7 * tier.rate / MEAN_WORK, 60.0, seed=3)
    tier.run(requests, until=70.0)

    assert [one.turned_away for one in requests if one.turned_away] == []
    assert served_in_time(requests, Priority.INTERACTIVE) >= 0.99


def test_after_a_surge_the_line_drains_and_nobody_is_turned_away():
    tier = Tier(SETTINGS)
    capacity = tier.rate / MEAN_WORK
    surge = poisson(3 * capacity, 20.0, seed=4)
    after = poisson(0.6 * capacity, 60.0, seed=5, start=20.0)
    tier.run([*surge, *after], until=120.0)
    calm = [one for one in after if one.at >= 60.0]

    assert len(tier.backlog.waiting) == 0
    assert tier.backlog.supply.in_flight == 0
    assert [one.turned_away for one in calm if one.turned_away] == []
    assert all(
        (one.ended is None) != (one.turned_away is None) for one in [*surge, *after]
    )  # each ended once


def test_bursts_are_taken_up_by_the_line():
    tier = Tier(SETTINGS)
    capacity = tier.rate / MEAN_WORK
    mix = {Priority.STANDARD: 1.0}
    requests = [
        one
        for n in range(12)
        for one in poisson(2.5 * capacity, 1.0, seed=n, start=5.0 * n, priorities=mix)
    ]
    tier.run(requests, until=70.0)

    assert served_in_time(requests, Priority.STANDARD) >= 0.95


def test_half_of_the_fleet_serves_half_of_the_demand_in_time():
    tier = Tier(SETTINGS, scale=[(30.0, 2)])
    capacity = tier.rate / MEAN_WORK
    requests = poisson(3 * capacity, 70.0, seed=6)
    tier.run(requests, until=70.0)

    assert goodput(requests, SETTINGS, since=10.0, until=29.0) >= 0.9 * capacity
    assert goodput(requests, SETTINGS, since=33.0, until=65.0) >= 0.9 * capacity / 2


def test_requests_held_through_a_cold_start_are_served_or_told():
    tier = Tier(SETTINGS, scale=[(0.0, 0), (12.0, 4)])
    requests = poisson(5.0, 10.0, seed=7, start=0.1)
    tier.run(requests, until=40.0)

    reasons = {one.turned_away for one in requests}
    assert reasons <= {None, TurnedAway.EXPIRED}
    assert sum(one.ended is not None for one in requests) >= 0.8 * len(requests)


def test_clients_that_come_back_when_they_are_told_do_not_come_at_once():
    tier = Tier(SETTINGS)
    capacity = tier.rate / MEAN_WORK
    mix = {Priority.INTERACTIVE: 1.0}
    requests = poisson(20 * capacity, 2.0, seed=8, priorities=mix)
    tier.run(requests, until=3.0)
    back = np.array([one.at + one.retry_after for one in requests if one.retry_after])
    per_second, _ = np.histogram(back, bins=np.arange(0.0, 121.0))

    assert len(back) > 20 * capacity
    assert per_second[5:].max() <= 2 * capacity
