import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.capacity import Capacity, Work

PROFILE = Capacity(alpha=0.010, beta=0.001, delta=0.0001, slots=8)


def work(*, slower, iterations=100.0, decode=800.0, prefill=1000.0):
    expected = 0.010 * iterations + 0.001 * decode + 0.0001 * prefill
    return Work(slower * expected, iterations, decode, prefill)


def test_iteration_time_is_linear_in_its_tokens():
    assert PROFILE.iteration_seconds(decode=8, prefill=20) == pytest.approx(0.020)


def test_a_request_takes_its_decode_iterations_in_one_slot_and_its_share_of_prefill():
    # 8 / 40 = 0.2 requests end per iteration of 10 + 8 + 0.2 * 100 * 0.1 = 20 ms.
    rate = PROFILE.requests_per_second(input_tokens=100, output_tokens=40)

    assert rate == pytest.approx(0.2 / 0.020)


def test_the_rate_is_what_a_simulated_batch_sustains():
    """Counts iterations one by one: 8 slots, 40 tokens each, prompts of 100 on entry."""
    left, done, elapsed = [5 * (slot + 1) for slot in range(8)], 0, 0.0
    for _ in range(4000):
        ended = sum(remaining == 1 for remaining in left)
        elapsed += PROFILE.iteration_seconds(decode=8, prefill=100 * ended)
        left = [40 if remaining == 1 else remaining - 1 for remaining in left]
        done += ended

    assert PROFILE.requests_per_second(input_tokens=100, output_tokens=40) == pytest.approx(
        done / elapsed, rel=0.01
    )


def test_an_answer_without_tokens_still_takes_an_iteration():
    assert math.isfinite(PROFILE.requests_per_second(input_tokens=0, output_tokens=0))


def test_a_slower_replica_than_profiled_is_learnt_step_by_step():
    once = PROFILE.refined(work(slower=2.0), weight=0.5)
    often = PROFILE
    for _ in range(40):
        often = often.refined(work(slower=2.0))

    assert once.correction == pytest.approx(1.5)
    assert often.correction == pytest.approx(2.0, rel=0.01)
    assert often.requests_per_second(input_tokens=100, output_tokens=40) == pytest.approx(
        PROFILE.requests_per_second(input_tokens=100, output_tokens=40) / 2, rel=0.01
    )


@pytest.mark.parametrize(("slower", "bound"), [(1000.0, 4.0), (0.001, 0.5)])
def test_the_correction_stays_within_bounds(slower, bound):
    moved = PROFILE
    for _ in range(100):
        moved = moved.refined(work(slower=slower))

    assert moved.correction == pytest.approx(bound)


@pytest.mark.parametrize(
    ("iterations", "is_learnt"), [pytest.param(19.0, False), pytest.param(20.0, True)]
)
def test_too_little_work_teaches_nothing(iterations, is_learnt):
    moved = PROFILE.refined(work(slower=2.0, iterations=iterations))

    assert (moved != PROFILE) is is_learnt


@pytest.mark.parametrize(
    "fields",
    [
        {"alpha": math.nan},
        {"alpha": -0.001},
        {"alpha": 0.0, "beta": 0.0},
        {"slots": 0},
        {"correction": 5.0},
    ],
    ids=str,
)
def test_a_profile_that_cannot_be_is_refused(fields):
    with pytest.raises(ValueError, match="expected"):
        Capacity(**{"alpha": 0.01, "beta": 0.001, "delta": 0.0, "slots": 8, **fields})


@settings(deadline=None)  # a busy machine is no broken rule
@given(
    shorter=st.floats(1, 1000),
    longer=st.floats(1, 1000),
    slots=st.integers(1, 256),
)
def test_longer_answers_never_raise_the_rate(shorter, longer, slots):
    shorter, longer = sorted((shorter, longer))
    capacity = Capacity(0.01, 0.001, 0.0001, slots)

    assert capacity.requests_per_second(
        input_tokens=50, output_tokens=longer
    ) <= capacity.requests_per_second(input_tokens=50, output_tokens=shorter) * (1 + 1e-9)
