import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.admission.entry import Lane
from inference.gateway.admission.inflow import Inflow
from inference.gateway.admission.prediction import (
    Calibration,
    Demand,
    predicted_wait,
    retry_after,
)
from inference.gateway.tenancy.priority import Priority
from tests.inference.gateway.admission.entries import entry_of

PLAIN = Lane(None, has_images=False)


def test_a_wait_is_work_over_throughput():
    assert predicted_wait(300.0, rate=100.0, above=0.0, ageing_seconds=0.0) == 3.0


def test_who_is_more_urgent_leaves_less_of_it():
    assert predicted_wait(300.0, rate=100.0, above=50.0, ageing_seconds=60.0) == 6.0


def test_but_only_until_the_request_has_aged():
    assert predicted_wait(300.0, rate=100.0, above=99.0, ageing_seconds=60.0) == 63.0


def test_waits_that_ended_calibrate_those_to_come():
    calibration = Calibration()
    assert calibration.ratio(Priority.STANDARD, PLAIN) == 1.0

    for _ in range(200):
        calibration.learn(entry_of(predicted=1.0), 3.0)
    assert calibration.ratio(Priority.STANDARD, PLAIN) == pytest.approx(3.0, rel=0.05)
    assert calibration.ratio(Priority.BATCH, PLAIN) == 1.0
    assert calibration.ratio(Priority.STANDARD, Lane(None, has_images=True)) == 1.0


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), max_size=30))
def test_calibration_stays_within_bounds(waits):
    calibration = Calibration()
    for predicted, waited in waits:
        calibration.learn(entry_of(predicted=predicted), waited)

    assert 0.25 <= calibration.ratio(Priority.STANDARD, PLAIN) <= 8.0


def test_demand_drains_at_the_measured_rate():
    demand = Demand()
    for _ in range(4):
        demand.came(100.0, rate=50.0, now=0.0)
    assert demand.seconds(rate=50.0, now=0.0) == 8.0
    assert demand.seconds(rate=50.0, now=5.0) == 3.0
    assert demand.seconds(rate=50.0, now=9.0) == 0.0


@given(
    st.floats(-1e6, 1e6),
    st.floats(0, 1, exclude_max=True),
)
def test_the_time_to_come_back_is_one_that_clients_honour(seconds, jitter):
    assert 0.25 <= retry_after(seconds, jitter=jitter) <= 120.0


def test_returns_are_spread():
    assert retry_after(10.0, jitter=0.5) == 11.0


def test_the_inflow_of_the_more_urgent_is_what_counts():
    inflow = Inflow()
    for n in range(200):
        inflow.took(Priority.INTERACTIVE, 10.0, n * 0.5)
        inflow.took(Priority.BATCH, 99.0, n * 0.5)

    assert inflow.above(Priority.INTERACTIVE, 100.0) == 0.0
    assert inflow.above(Priority.STANDARD, 100.0) == pytest.approx(20.0, rel=0.05)
    assert inflow.above(Priority.BATCH, 100.0) == pytest.approx(20.0, rel=0.05)
    assert inflow.above(Priority.BATCH, 200.0) < 0.1
