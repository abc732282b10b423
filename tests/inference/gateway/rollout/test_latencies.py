import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.gateway.rollout.latencies import Latencies, bin_of, edge

SECONDS = st.floats(2e-5, 3000.0)


def binned(values):
    counts = {}
    for value in values:
        counts[bin_of(value)] = counts.get(bin_of(value), 0) + 1
    return Latencies(counts)


@given(SECONDS)
def test_a_latency_lies_between_the_edges_of_its_bin(seconds):
    number = bin_of(seconds)

    assert edge(number - 1) * (1 - 1e-12) <= seconds <= edge(number) * (1 + 1e-12)


@given(st.lists(SECONDS, min_size=1, max_size=50), st.data())
def test_ranks_enclose_the_sorted_values(values, data):
    rank = data.draw(st.integers(1, len(values)))
    low, high = binned(values).smallest(rank)

    assert low * (1 - 1e-12) <= sorted(values)[rank - 1] <= high * (1 + 1e-12)


@given(st.lists(SECONDS, min_size=1, max_size=50))
def test_a_quantile_is_within_two_percent(values):
    expected = sorted(values)[max(1, math.ceil(0.95 * len(values))) - 1]

    assert binned(values).quantile(0.95) == pytest.approx(expected, rel=0.02)


def test_before_the_first_is_nothing_and_after_the_last_anything():
    assert binned([0.1]).smallest(0) == (0.0, 0.0)
    assert binned([0.1]).smallest(2) == (math.inf, math.inf)
    assert Latencies().quantile(0.95) is None


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, float("nan")])
def test_what_is_no_latency_falls_into_the_first_bin(seconds):
    assert bin_of(seconds) == 0


def test_two_are_added_bin_by_bin():
    assert Latencies({1: 2, 3: 1}).plus(Latencies({3: 1, 4: 5})) == Latencies({1: 2, 3: 2, 4: 5})
