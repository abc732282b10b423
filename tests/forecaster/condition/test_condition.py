import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecaster.condition.condition import Kind, examine, mended
from forecaster.demand.demand import Demand
from telemetry.series import Series, Window

STEP = 300.0
SEASON = 288
START = 1_700_000_100.0
NAN = float("nan")


def demand(values: np.ndarray, step: float = STEP, **more) -> Demand:
    window = Window(START, START + step * (values.size - 1), step)
    return Demand("a", Series({}, window, values), **more)


def counts(days: int = 10) -> np.ndarray:
    rng = np.random.default_rng(1)
    clock = np.arange(days * SEASON) / SEASON
    return rng.poisson(200 * (1 + 0.8 * np.sin(2 * np.pi * clock))) / 300.0


def test_ordinary_demand_is_left_as_it_is():
    ordinary = demand(counts())

    assert examine(ordinary).findings == ()
    assert ordinary is mended(ordinary)


def test_what_tells_nothing_is_ignored_and_said_so():
    values = counts()
    values[700:712] = 0.0
    values[1000:1010] = 0.7
    values[1290] *= 8
    values[2010:2013] = NAN

    found = examine(demand(values))
    repaired = mended(demand(values, repairs=("Before.",)))

    kinds = [Kind.READS_ZERO, Kind.STUCK, Kind.SPIKE, Kind.GAP]
    assert kinds == [finding.kind for finding in found.findings]
    ignored = [*range(700, 712), *range(1000, 1010), 1290]
    assert ignored == np.flatnonzero(found.ignored).tolist()
    assert ignored == np.flatnonzero(repaired.ignored).tolist()
    assert len(repaired.repairs) == 4
    assert repaired.repairs[0] == "Before."
    assert "reads 0 for 1 h, where" in repaired.repairs[1]
    np.testing.assert_array_equal(values, repaired.rate.values)


def test_a_finding_lasts_from_the_beginning_of_its_first_step():
    values = counts()
    values[700:712] = 0.0

    (finding,) = examine(demand(values)).findings

    assert finding.start == START + 699 * STEP
    assert finding.end == START + 711 * STEP
    assert finding.factor == 0


def test_next_to_nothing_is_an_outage():
    values = counts()
    values[700:712] = 0.005

    (finding,) = examine(demand(values)).findings

    assert Kind.OUTAGE is finding.kind


def test_a_large_change_of_level_is_told_and_learned_from():
    values = counts()
    values[8 * SEASON :] *= 3

    found = examine(demand(values))

    (shift,) = found.of(Kind.SHIFT)
    assert not found.ignored.any()
    assert shift.factor == pytest.approx(3, rel=0.1)
    assert shift.z > 4.5


@pytest.mark.parametrize(
    ("seen_after", "ignored"), [pytest.param(0, 0, id="going on"), pytest.param(1, 12, id="over")]
)
def test_that_demand_has_stopped_is_believed_until_it_is_back(seen_after, ignored):
    values = counts()
    values[values.size - 12 - seen_after : values.size - seen_after] = 0.0

    found = examine(demand(values))

    assert len(found.of(Kind.READS_ZERO)) == 1
    assert len(found.unlearnt) == min(ignored, 1)
    assert found.ignored.sum() == ignored


def test_many_of_a_kind_are_told_together():
    values = counts()
    for start in range(650, 2000, 300):
        values[start : start + 10] = 0.0

    (sentence,) = mended(demand(values)).repairs

    assert sentence.startswith("5 stretches (reads zero) are not learned from.")


def test_what_was_ignored_stays_ignored_and_is_not_judged():
    ignored = np.zeros(10 * SEASON, np.bool_)
    ignored[700:712] = True
    values = counts()
    values[700:712] = 0.0

    found = examine(demand(values, ignored=ignored))

    assert found.findings == ()
    np.testing.assert_array_equal(ignored, found.ignored)


@pytest.mark.parametrize("size", [1, 2, 30])
def test_short_series_are_looked_at(size):
    assert not examine(demand(np.ones(size))).ignored.any()
    assert len(examine(demand(np.full(size, NAN))).findings) == 1


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, 100, elements=st.one_of(st.just(NAN), st.floats(0, 1e9))))
def test_whatever_the_values_only_known_steps_are_ignored(values):
    found = examine(demand(values, step=3600.0))

    assert not (found.ignored & ~np.isfinite(values)).any()


@pytest.mark.skipif("WARMFRONT_DATA" not in os.environ, reason="WARMFRONT_DATA names no data")
def test_the_gaps_in_collection_of_a_real_fleet_are_found_and_bursts_are_not_touched():
    folder = Path(os.environ["WARMFRONT_DATA"])
    fleet = _columns(folder / "win10_servegen_m-mid.csv.gz", "requests", "missing")
    bursts = _columns(folder / "min1_burstgpt_wk1_days0-3.csv.gz", "total_tokens")

    found = examine(demand(fleet[0] / 600.0, step=600.0))

    np.testing.assert_array_equal(fleet[1] > 0, found.ignored)
    assert examine(demand(bursts[0] / 60.0, step=60.0)).findings == ()


def _columns(path: Path, *names: str) -> list[np.ndarray]:
    with gzip.open(path, "rt") as file:
        header = file.readline().strip().split(",")
        rows = [line.strip().split(",") for line in file]
    return [np.array([float(row[header.index(name)]) for row in rows]) for name in names]
