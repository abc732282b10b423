import pytest

from autoscaler.lead_time import Lead, LeadTimes


def test_a_prior_stands_in_until_something_is_measured():
    assert LeadTimes(start_prior=30.0, wake_prior=1.0).lead == Lead(start=30.0, wake=1.0)


def test_start_and_wake_are_measured_apart():
    times = LeadTimes(start_prior=30.0, wake_prior=1.0)
    times.record_start(8.0)

    assert times.start == 8.0
    assert times.wake == 1.0


def test_nine_in_ten_recent_measurements_stay_below():
    times = LeadTimes()
    for seconds in range(11):
        times.record_wake(float(seconds))

    assert times.wake == pytest.approx(9.0)


def test_old_measurements_are_forgotten():
    times = LeadTimes(keep=3)
    for seconds in (100.0, 1.0, 1.0, 1.0):
        times.record_start(seconds)

    assert times.start == 1.0
