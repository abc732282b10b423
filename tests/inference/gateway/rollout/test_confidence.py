import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.rollout.confidence import rank_bounds, share_bounds


@given(st.integers(0, 2000), st.data())
def test_the_interval_of_a_share_holds_what_was_seen(tries, data):
    hits = data.draw(st.integers(0, tries))
    low, high = share_bounds(hits, tries, level=0.01)

    assert 0 <= low <= high <= 1
    if tries:
        assert low <= hits / tries <= high


@given(st.integers(0, 3000))
def test_the_ranks_of_a_quantile_are_ranks(tries):
    low, high = rank_bounds(tries, share=0.95, level=0.01)

    assert 0 <= low <= round(0.95 * tries) <= high <= tries


def test_nothing_seen_tells_nothing():
    assert share_bounds(0, 0, level=0.05) == (0.0, 1.0)
    assert rank_bounds(0, share=0.95, level=0.05) == (0, 0)


def test_few_values_do_not_bound_a_high_quantile_from_above():
    assert rank_bounds(100, share=0.95, level=0.003)[1] == 100
    assert rank_bounds(400, share=0.95, level=0.003)[1] < 400


def test_intervals_narrow_as_more_is_seen_and_widen_with_certainty():
    widths = [
        high - low
        for tries in (10, 100, 1000, 10_000)
        for low, high in [share_bounds(tries // 10, tries, level=0.05)]
    ]

    assert widths == sorted(widths, reverse=True)
    assert share_bounds(10, 100, level=0.001)[0] < share_bounds(10, 100, level=0.05)[0]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.95])
def test_looking_after_each_request_misleads_no_more_often_than_the_level(share):
    """A usual 95 % interval, looked at this often, misses in about half of the runs."""
    draws = np.random.default_rng(5).random((150, 400)) < share
    misses = 0
    for run in np.cumsum(draws, axis=1):
        bounds = [share_bounds(int(run[at]), at + 1, level=0.1) for at in range(0, 400, 8)]
        misses += any(not low <= share <= high for low, high in bounds)

    assert misses / 150 <= 0.1


def test_the_true_quantile_stays_between_its_ranks_however_often_one_looks():
    values = np.random.default_rng(6).exponential(size=(150, 600))
    truth, misses = -np.log(0.05), 0
    for run in values:
        below = np.cumsum(run <= truth)
        looks = (
            (below[at], rank_bounds(at + 1, share=0.95, level=0.1)) for at in range(4, 600, 8)
        )
        misses += any(not low <= count <= high for count, (low, high) in looks)

    assert misses / 150 <= 0.1
