"""Whatever the order and the blocks that rows come in, none is lost and none counted twice."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.demand.columns import Layout, choose
from forecaster.demand.demand import DemandError
from forecaster.demand.gathering import Gathering
from forecaster.demand.place import Place
from forecaster.demand.repair import Findings
from forecaster.demand.rows import Rows
from forecaster.demand.trace_file import read_trace

PLACE = Place("rows.csv")
REQUESTS = choose(PLACE, ["arrival_s", "input_tokens"], column=None, labels={})
BINS = choose(PLACE, ["minute", "requests"], column=None, labels={})

arrivals = st.lists(st.integers(0, 500), min_size=2, max_size=60).filter(
    lambda times: max(times) - min(times) >= 10
)


def gathering(layout: Layout, *batches: Rows) -> Gathering:
    def read(_findings: Findings) -> Iterator[Rows]:
        yield from batches

    return Gathering(PLACE, layout, read)


def requests(times: list[int], first_line: int = 2) -> Rows:
    at = np.array(times, dtype=np.float64)
    return Rows(first_line + np.arange(at.size), at, input_tokens=np.ones(at.size))


@given(times=arrivals, data=st.data())
def test_each_request_of_a_whole_step_is_counted_once(times: list[int], data: st.DataObject):
    cut = data.draw(st.integers(0, len(times)))
    batches = requests(times[:cut]), requests(times[cut:], cut + 2)
    demand = gathering(REQUESTS, *batches).trace(step=10.0).demand()

    whole = min(times) + 10 * ((max(times) - min(times)) // 10)
    counted = sum(1 for time in times if time < whole)
    assert demand.rate.values.sum() * 10 == pytest.approx(counted)
    assert demand.input_tokens.values.sum() * 10 == pytest.approx(counted)


@given(times=arrivals)
def test_counted_as_read_or_kept_and_in_any_order_it_is_the_same(times: list[int]):
    counted = gathering(REQUESTS, requests(times)).trace(step=10.0).demand()
    kept = gathering(REQUESTS, requests(sorted(times))).trace(step=None).demand(10.0)

    assert counted.window == kept.window
    np.testing.assert_allclose(counted.rate.values, kept.rate.values)


@given(
    amounts=st.lists(st.integers(0, 1000) | st.none(), min_size=1, max_size=60),
    per_step=st.integers(1, 5),
)
def test_a_step_is_the_mean_of_its_bins_that_were_seen(amounts: list[int | None], per_step: int):
    values = np.array([np.nan if one is None else one for one in amounts], dtype=np.float64)
    rows = Rows(2 + np.arange(values.size), 60.0 * np.arange(values.size), values)
    steps = values.size // per_step
    if not steps:
        return
    rate = gathering(BINS, rows).trace(step=None).demand(60.0 * per_step).rate.values

    for value, part in zip(rate, values[: steps * per_step].reshape(steps, -1), strict=True):
        known = part[np.isfinite(part)]
        if 2 * known.size >= per_step:
            assert value * 60 == pytest.approx(known.mean())
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("layout", [REQUESTS, BINS], ids=["requests", "bins"])
def test_no_rows_are_an_error(layout: Layout):
    with pytest.raises(DemandError, match="at least one row"):
        gathering(layout).trace(step=10.0)


def test_requests_are_no_readings_of_a_counter():
    counter = Gathering(PLACE, REQUESTS, lambda _findings: [requests([0, 20])], is_counter=True)

    with pytest.raises(DemandError, match="readings of a counter"):
        counter.trace(step=10.0)


def test_a_file_of_many_blocks_is_counted_as_a_whole(tmp_path: Path):
    path = tmp_path / "many.csv"
    path.write_text("arrival_s\n" + "\n".join(f"{at / 1000:.3f}" for at in range(700_000)))
    demand = read_trace(path, step=10.0).demand()

    assert demand.rate.values.tolist() == [1000.0] * 69
    assert demand.repairs == ()
