"""A forecast is doubted when demand leaves its decision quantiles too often, and not by chance."""

import numpy as np
import pytest

from forecaster.live.tracking import Block, Track, Tracking
from forecaster.live.trust import Trust, findings

QUANTILES = (0.5, 0.9, 0.99)
BLOCK = 3600.0
INSIDE, ABOVE_90, ABOVE_99 = 0, 2, 3


def block(index, *, forecasts=360, above_90=0, above_99=0):
    counts = (forecasts - above_90, 0, above_90 - above_99, above_99)
    return Block(BLOCK * index, counts, loss=1.0)


def tracking(blocks):
    return Tracking(10.0, BLOCK, QUANTILES, (Track(1, (), tuple(blocks)),))


def day(misses, *, first=0, forecasts=360, rare=0):
    return [
        block(first + hour, forecasts=forecasts, above_90=count, above_99=rare)
        for hour, count in enumerate(misses)
    ]


@pytest.mark.parametrize(
    ("blocks", "quantiles"),
    [
        pytest.param(day([36] * 24), [], id="as often as it says"),
        pytest.param(day([47] * 24), [0.9], id="86.9 % covered"),
        pytest.param(day([46] * 24), [], id="87.2 % covered"),
        pytest.param(day([36] * 24, rare=11), [0.99], id="96.9 % covered"),
        pytest.param(day([36] * 24, rare=10), [], id="97.2 % covered"),
        pytest.param(day([80] * 24, rare=30), [0.9, 0.99], id="both"),
        pytest.param(day([4] * 4, forecasts=12), [], id="too few for .9"),
        pytest.param(day([6] * 4, forecasts=13), [0.9], id="just enough for .9"),
        pytest.param(day([80] * 3), [], id="too short a time"),
        pytest.param([], [], id="nothing yet"),
    ],
)
def test_what_is_found(blocks, quantiles):
    assert [found.quantile for found in findings(tracking(blocks))] == quantiles


def test_misses_that_came_in_one_run_may_be_chance():
    spread, one_run = [50] * 24, [0] * 20 + [300] * 4

    assert sum(spread) == sum(one_run)
    assert findings(tracking(day(spread)))
    assert not findings(tracking(day(one_run)))


def test_calibrated_quantiles_are_hardly_ever_doubted_even_where_misses_come_in_runs():
    rng = np.random.default_rng(7)
    doubted = 0
    for _ in range(300):
        chances = rng.beta(0.6, 5.4, 24)  # a tenth in the mean, and very uneven
        doubted += bool(findings(tracking(day(rng.binomial(360, chances)))))

    assert doubted <= 15


def test_a_doubt_ends_when_the_last_quarter_of_a_season_was_good():
    bad = day([80] * 18)
    trust = Trust().next(tracking(bad))
    still = trust.next(tracking(bad + day([36] * 5, first=18)))
    again = trust.next(tracking(bad + day([36] * 6, first=18)))

    assert trust.doubted
    assert still.doubted
    assert again == Trust(doubted=False, since=18 * BLOCK)


def test_what_came_before_a_recovery_is_not_held_against_it():
    blocks = day([80] * 18) + day([36] * 6, first=18)
    recovered = Trust().next(tracking(blocks)).next(tracking(blocks))

    assert findings(tracking(blocks))
    assert not recovered.next(tracking(blocks)).doubted
    assert recovered.next(tracking(blocks + day([90] * 6, first=24))).doubted


@pytest.mark.parametrize(
    ("misses", "doubted"), [(42, True), (41, False)], ids=["88.3 %", "88.6 %"]
)
def test_between_the_two_bounds_a_doubt_stays(misses, doubted):
    blocks = day([80] * 18) + day([misses] * 6, first=18)

    assert not findings(tracking(day([misses] * 24)))
    assert Trust(doubted=True).next(tracking(blocks)).doubted is doubted


def test_silence_does_not_end_a_doubt():
    assert Trust(doubted=True).next(tracking([])).doubted
