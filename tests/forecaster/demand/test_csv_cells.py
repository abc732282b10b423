"""The quick way and the careful way to read lines see the same."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.demand.columns import choose
from forecaster.demand.csv_blocks import Block
from forecaster.demand.csv_cells import CellReader
from forecaster.demand.demand import DemandError
from forecaster.demand.place import Place
from forecaster.demand.repair import Findings
from forecaster.demand.rows import Checking, Rows
from forecaster.demand.times import Stamps

PLACE = Place("cells.csv")


def reader(header: str, **labels: str) -> CellReader:
    layout = choose(PLACE, header.split(","), column=None, labels=labels)
    stamps = Stamps(PLACE, layout.time, layout.names[layout.at])
    return CellReader(Checking(PLACE, layout, Findings()), stamps)


def assert_same(quick: Rows, careful: Rows) -> None:
    for name in ("lines", "at", "amounts", "input_tokens", "output_tokens", "taken"):
        one, other = getattr(quick, name), getattr(careful, name)
        assert (one is None) == (other is None), name
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-15, err_msg=name)


numbers = st.integers(0, 10**9).map(str) | st.floats(0, 1e9).map(repr) | st.just("")
moments = st.datetimes(datetime(100, 1, 1), datetime(3800, 1, 1))  # noqa: DTZ001 - zones below
stamps = moments.map(str) | moments.map(lambda at: at.isoformat() + "+02:00")


@given(rows=st.lists(st.tuples(st.floats(0, 1e9).map(repr), numbers, numbers), min_size=1))
def test_numbers_are_the_same_both_ways(rows: list[tuple[str, ...]]) -> None:
    header = "arrival_s,input_tokens,output_tokens"
    block = Block(2, "".join(",".join(row) + "\n" for row in rows).encode())
    quick = reader(header).quick(block)

    assert quick is not None
    assert_same(quick, reader(header).careful(block))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2025-01-01T00:00:00Z,5,eu\n2025-01-01T00:01:00.250Z,,us\n", id="UTC"),
        pytest.param("2025-01-01 00:00,5,eu\n2025-01-01 00:01,7,\n", id="no zone"),
        pytest.param("2025-01-01T02:00-05:00,5,eu\n2025-01-01T02:01+09:00,7,us\n", id="zones"),
        pytest.param('"2025-01-01 00:00","5","eu"\r\n"2025-01-01 00:01",7,us\r\n', id="quotes"),
        pytest.param("1738324800,5,eu\n1738324860,7,eu\n", id="epoch seconds"),
        pytest.param("1738324800.5,5,eu\n1738324860.5,inf,us\n", id="infinite"),
    ],
)
def test_moments_and_labels_are_the_same_both_ways(text: str) -> None:
    block = Block(7, text.encode())
    header = "timestamp,requests,region"
    quick = reader(header, region="eu").quick(block)

    assert quick is not None
    assert_same(quick, reader(header, region="eu").careful(block))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("0,1\n1\n2,3,4\n", id="a short row and a long one"),
        pytest.param("0,1\n\n1,2\n", id="a blank line"),
        pytest.param('0,"1,5"\n', id="a comma in quotes"),
        pytest.param("0,many\n", id="a word"),
        pytest.param("zero,1\n", id="no time"),
        pytest.param("0,nan\n", id="not a number"),
        pytest.param("0,True\n", id="a truth"),
        pytest.param("2025-01-01,1\n", id="a moment for a number"),
        pytest.param("0,1\r1,2\r\n", id="old ends of lines"),
    ],
)
def test_what_is_not_plain_is_left_to_the_careful_way(text: str) -> None:
    assert reader("minute,requests").quick(Block(2, text.encode())) is None


def test_a_large_block_with_a_fault_names_its_line() -> None:
    lines = [f"{line},1\n" for line in range(50_000)]
    lines[40_000] = "40000,x\n"
    text = "".join(lines).encode()

    with pytest.raises(DemandError, match=r"cells\.csv:40002: .*got 'x'"):
        reader("minute,requests").rows(Block(2, text))


@given(at=stamps)
def test_a_moment_is_the_same_both_ways(at: str) -> None:
    block = Block(2, f"{at},1\n".encode())
    quick = reader("timestamp,requests").quick(block)
    if quick is not None:
        assert_same(quick, reader("timestamp,requests").careful(block))
