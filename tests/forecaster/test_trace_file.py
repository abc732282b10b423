import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.trace import TraceError
from forecaster.trace_file import read_trace

BINS = b"minute,requests\n" + b"".join(b"%d,%d\n" % (at, at * at) for at in range(200))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "bin_seconds"),
    [
        pytest.param("minute,requests\n0,5\n1,7\n", 60, id="minutes"),
        pytest.param("window,requests\n0,5\n1,7\n", 600, id="windows"),
        pytest.param("window,start_s,requests\n0,0,5\n1,30,7\n", 30, id="seconds come first"),
        pytest.param(
            "timestamp,requests\n1995-07-01 00:00:00,5\n1995-07-01 00:05:00,7\n", 300, id="times"
        ),
        pytest.param("\ufeffminute,requests\n0,5\n\n1,7\n", 60, id="a byte order mark, a blank"),
    ],
)
def test_each_way_to_write_bins_is_read(folder: Path, text: str, bin_seconds: float) -> None:
    trace = read_trace(write(folder, text))

    assert trace.bin_seconds == bin_seconds
    assert trace.requests.tolist() == [5, 7]
    assert trace.span_seconds == 2 * bin_seconds


def test_requests_are_read_with_their_tokens(folder: Path) -> None:
    trace = read_trace(
        write(folder, "arrival_s,input_tokens,output_tokens\n0.5,10,2\n0.5,30,\n4,20,4\n")
    )

    assert trace.bin_seconds is None
    assert trace.requests_per_second(3.5).values.tolist() == [2 / 3.5]
    assert trace.mean_input_tokens == 20
    assert trace.mean_output_tokens == 3


def test_an_empty_cell_and_a_marked_row_are_missing_not_zero(folder: Path) -> None:
    trace = read_trace(write(folder, "minute,requests,missing\n0,,0\n1,0,0\n2,4,1\n"))

    np.testing.assert_equal(trace.requests, [np.nan, 0.0, np.nan])


def test_compressed_traces_are_read(folder: Path) -> None:
    path = folder / "trace.csv.gz"
    path.write_bytes(gzip.compress(b"minute,requests\n0,5\n"))

    assert read_trace(path).requests.tolist() == [5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", r":1: expected a column.*an empty file", id="empty"),
        pytest.param("minute,requests\n", "at least one row", id="a header only"),
        pytest.param("a,b\n1,2\n", r":1: expected a column arrival_s.*found a, b", id="columns"),
        pytest.param("minute,total\n1,2\n", ":1: expected a column", id="no requests"),
        pytest.param("requests\n1\n", ":1: expected a column", id="no time"),
        pytest.param("minute,requests\n0,1\n1,-3\n", r":3: .*at least 0.*'-3'", id="negative"),
        pytest.param("minute,requests\n0,nan\n", r":2: .*got 'nan'", id="not a number"),
        pytest.param("minute,requests\n0,inf\n", r":2: .*got 'inf'", id="infinite"),
        pytest.param("minute,requests\n0,many\n", r":2: .*got 'many'", id="a word"),
        pytest.param("minute,requests\n,1\n", r":2: .*number of minutes", id="no moment"),
        pytest.param("minute,requests\n0,1\n1\n", ":3: .*as many cells", id="a short row"),
        pytest.param("minute,requests\n0,1,9\n", ":2: .*as many cells", id="a long row"),
        pytest.param("minute,requests\n1,1\n0,1\n", ":3: .*after line 2", id="backwards"),
        pytest.param("minute,requests\n1,1\n1,1\n", ":3: .*after line 2", id="a bin twice"),
        pytest.param("minute,requests\n0,1\n1.5,1\n", ":3: .*multiples of 60 s", id="uneven"),
        pytest.param("timestamp,requests\nnoon,1\n", r":2: .*a time such as", id="no time of day"),
        pytest.param("start_s,requests\n0,1\n", "two rows or more", id="a row of unknown length"),
        pytest.param("arrival_s\n2\n1\n", ":3: .*after line 2", id="requests backwards"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(folder: Path, text: str, message: str) -> None:
    with pytest.raises(TraceError, match=message) as caught:
        read_trace(write(folder, text))

    assert "trace.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("a.csv.gz", b"minute,requests\n", "cannot be read", id="not compressed"),
        pytest.param("a.csv.gz", gzip.compress(BINS)[:-20], "cut off", id="cut off"),
        pytest.param("a.csv", b"minute,requests\n\xff\xfe,1\n", "expected text", id="not text"),
    ],
)
def test_a_damaged_file_is_said_to_be(
    folder: Path, name: str, content: bytes, message: str
) -> None:
    (folder / name).write_bytes(content)

    with pytest.raises(TraceError, match=message):
        read_trace(folder / name)


def test_a_file_that_is_not_there_or_a_folder_is_said_to_be(folder: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        read_trace(folder / "absent.csv")
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(folder)


@given(text=st.text(alphabet="0123456789,.\n-ae\"' \x00", max_size=60))
def test_no_text_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    path.write_text("minute,requests\n" + text)
    try:
        trace = read_trace(path)
    except TraceError:
        return

    assert np.nanmin(np.append(trace.requests, 0.0)) >= 0.0
