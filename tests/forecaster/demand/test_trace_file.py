import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.demand.demand import REQUESTS, TOKENS, DemandError
from forecaster.demand.trace_file import read_trace

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
    assert trace.amounts.tolist() == [5, 7]
    assert trace.span_seconds == 2 * bin_seconds


def test_requests_are_read_with_their_tokens(folder: Path) -> None:
    trace = read_trace(
        write(folder, "arrival_s,input_tokens,output_tokens\n0.5,10,2\n0.5,30,\n4,20,4\n")
    )

    assert trace.bin_seconds is None
    assert trace.demand(3.5).rate.values.tolist() == [2 / 3.5]
    np.testing.assert_array_equal(trace.input_tokens, [10, 30, 20])
    np.testing.assert_array_equal(trace.output_tokens, [2, np.nan, 4])


def test_an_empty_cell_and_a_marked_row_are_missing_not_zero(folder: Path) -> None:
    trace = read_trace(write(folder, "minute,requests,missing\n0,,0\n1,0,0\n2,4,1\n"))

    np.testing.assert_equal(trace.amounts, [np.nan, 0.0, np.nan])


def test_compressed_traces_are_read(folder: Path) -> None:
    path = folder / "trace.csv.gz"
    path.write_bytes(gzip.compress(b"minute,requests\n0,5\n"))

    assert read_trace(path).amounts.tolist() == [5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", r":1: expected a column.*an empty file", id="empty"),
        pytest.param("minute,requests\n", "at least one row", id="a header only"),
        pytest.param("a,b\n1,2\n", r":1: expected a column arrival_s.*found a, b", id="columns"),
        pytest.param("minute\n1\n", ":1: expected a column", id="nothing beside the time"),
        pytest.param(
            "minute,requests\n1,1\n1,2\n", ":3: .*after line 2", id="a bin twice, unlike"
        ),
        pytest.param("minute,a,A,requests,requests\n1,1,1,1,1\n", "twice", id="a column twice"),
        pytest.param("arrival_s\n-\n", r":2: .*number of seconds.*'-'", id="no arrival"),
        pytest.param("arrival_s\n1\n1\n", "shorter than one step", id="no time passes"),
        pytest.param("requests\n1\n", ":1: expected a column", id="no time"),
        pytest.param("minute,requests\n0,1\n1,-3\n", r":3: .*at least 0.*'-3'", id="negative"),
        pytest.param("minute,requests\n0,1\n1,1e300\n", r":3: .*at most 1e\+18", id="too many"),
        pytest.param("minute,requests\n\n\n", "at least one row", id="blank lines only"),
        pytest.param("start_s,requests\n1.7e12,1\n", r":2: .*of seconds", id="milliseconds"),
        pytest.param("ts,requests\n9999-12-31,1\n", r":2: .*a time such", id="a far year"),
        pytest.param("minute,requests\n0,many\n", r":2: .*got 'many'", id="a word"),
        pytest.param("minute,requests\n,1\n", r":2: .*number of minutes", id="no moment"),
        pytest.param("minute,requests\n0,1\n1\n", ":3: .*as many cells", id="a short row"),
        pytest.param("minute,requests\n0,1,9\n", ":2: .*as many cells", id="a long row"),
        pytest.param("minute,requests\n1,1\n0,1\n", ":3: .*after line 2", id="backwards"),
        pytest.param("minute,requests\n0,1\n1.5,1\n", ":3: .*multiples of 60 s", id="uneven"),
        pytest.param("timestamp,requests\nnoon,1\n", r":2: .*a time such as", id="no time of day"),
        pytest.param("start_s,requests\n0,1\n", "two rows or more", id="a row of unknown length"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DemandError, match=message) as caught:
        read_trace(write(folder, text)).demand()

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

    with pytest.raises(DemandError, match=message):
        read_trace(folder / name)


def test_a_file_that_is_not_there_or_a_folder_is_said_to_be(folder: Path) -> None:
    with pytest.raises(DemandError, match="No such file"):
        read_trace(folder / "absent.csv")
    with pytest.raises(DemandError, match="cannot be read"):
        read_trace(folder)


@given(text=st.text(alphabet="0123456789,.\n-ae\"' \x00", max_size=60))
def test_no_text_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    path.write_text("minute,requests\n" + text)
    try:
        trace = read_trace(path)
    except DemandError:
        return

    assert np.nanmin(np.append(trace.amounts, 0.0)) >= 0.0


# --- which column ---------------------------------------------------------------------------

WIDE = "window,c60,c36\n0,10,1\n1,20,\n"


def test_a_column_is_chosen_by_its_name(folder: Path) -> None:
    demand = read_trace(write(folder, WIDE), column="c36").demand()

    np.testing.assert_allclose(demand.rate.values, [1 / 600, np.nan])


def test_where_several_are_possible_they_are_listed(folder: Path) -> None:
    with pytest.raises(DemandError, match=r"not clear: choose one of c60, c36 \(--column"):
        read_trace(write(folder, WIDE))


def test_a_column_that_is_not_there_is_said_with_those_that_are(folder: Path) -> None:
    with pytest.raises(DemandError, match=r"no column c1; it has window, c60, c36"):
        read_trace(write(folder, WIDE), column="c1")


@pytest.mark.parametrize("column", ["window", " Minute"])
def test_a_column_of_times_holds_no_demand(folder: Path, column: str) -> None:
    path = write(folder, "window,minute,c60\n0,0,1\n1,10,2\n")

    with pytest.raises(DemandError, match="holds the time; it has window, minute, c60"):
        read_trace(path, column=column)


def test_a_column_of_requests_that_are_rows_is_refused(folder: Path) -> None:
    with pytest.raises(DemandError, match="its rows are requests"):
        read_trace(write(folder, "arrival_s,c1\n0,1\n"), column="c1")


@pytest.mark.parametrize(
    ("header", "unit", "remarks"),
    [
        pytest.param("minute,requests,total_tokens", REQUESTS, 0, id="requests come first"),
        pytest.param("minute,total_tokens,any_request", TOKENS, 0, id="tokens alone"),
        pytest.param("ds,y,missing", REQUESTS, 1, id="another name is told"),
    ],
)
def test_what_is_read_has_its_unit(folder: Path, header: str, unit: str, remarks: int) -> None:
    first = "2025-01-01" if header.startswith("ds") else "0"
    second = "2025-01-02" if header.startswith("ds") else "1"
    trace = read_trace(write(folder, f"{header}\n{first},6,0\n{second},7,0\n"))

    assert trace.unit == unit
    assert trace.demand().unit == unit
    assert len(trace.demand().repairs) == remarks


# --- which rows -----------------------------------------------------------------------------

TENANTS = "arrival_s,model,input_tokens\n0,a,5\n4,b,7\n8,a,9\n12,b,1\n20,b,1\n"


@pytest.mark.parametrize("step", [None, 5.0], ids=["kept", "counted"])
def test_rows_are_chosen_by_a_label_and_the_time_is_that_of_all(
    folder: Path, step: float | None
) -> None:
    trace = read_trace(write(folder, TENANTS), step=step, labels={"model": "a"})

    assert trace.demand(5).rate.values.tolist() == [0.2, 0.2, 0, 0]
    assert trace.demand(5).input_tokens.values.tolist() == [1, 1.8, 0, 0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        pytest.param({"model": "c"}, "no row with model=c", id="no such value"),
        pytest.param({"region": "c"}, "no column region to choose by", id="no such column"),
    ],
)
@pytest.mark.parametrize("step", [None, 5.0], ids=["kept", "counted"])
def test_where_no_row_is_meant_this_is_said(
    folder: Path, labels: dict[str, str], message: str, step: float | None
) -> None:
    with pytest.raises(DemandError, match=message):
        read_trace(write(folder, TENANTS), step=step, labels=labels)


# --- times ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("2025-01-31T12:00:00Z", "2025-01-31T12:01:00+00:00", id="UTC"),
        pytest.param("2025-01-31 12:00:00", "2025-01-31 12:01", id="no zone is UTC"),
        pytest.param("2025-01-31T13:00:00+01:00", "2025-01-31T14:01:00+02:00", id="summer time"),
        pytest.param("1738324800", "1738324860.0", id="seconds"),
        pytest.param("1738324800000", "1738324860000", id="milliseconds"),
        pytest.param("1738324800000000", "1738324860000000", id="microseconds"),
        pytest.param("1738324800000000000", "1738324860000000000", id="nanoseconds"),
    ],
)
@pytest.mark.parametrize("name", ["timestamp", "time", "ts", "ds"])
def test_moments_are_seconds_since_1970(folder: Path, name: str, first: str, second: str) -> None:
    trace = read_trace(write(folder, f"{name},requests\n{first},1\n{second},2\n"))

    assert trace.start == 1738324800
    assert trace.bin_seconds == 60


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        pytest.param(
            "2025-01-31T12:00Z", "2025-01-31T12:01",
            r":3: expected a time with a zone in ts, as in line 2, got a time without",
            id="zones",
        ),
        pytest.param(
            "1738324800", "1738324860000",
            r":3: expected seconds since 1970 in ts, as in line 2, got milliseconds",
            id="units",
        ),
        pytest.param(
            "2025-01-31T12:00Z", "1738324860", r":3: expected a time with.* got seconds",
            id="ways to write",
        ),
        pytest.param("0", "60", r":2: expected a time such as.*start_s", id="not since 1970"),
        pytest.param("20250131", "20250201", r":2: expected a time such as", id="a date in short"),
        pytest.param("", "1738324860", r":2: expected a time such as.* got ''", id="no time"),
    ],
)  # fmt: skip
def test_times_that_could_mean_several_things_are_refused(
    folder: Path, first: str, second: str, message: str
) -> None:
    with pytest.raises(DemandError, match=message):
        read_trace(write(folder, f"ts,requests\n{first},1\n{second},2\n"))


# --- repairs --------------------------------------------------------------------------------


def test_a_bin_that_is_repeated_is_counted_once_and_told(folder: Path) -> None:
    trace = read_trace(write(folder, "minute,requests\n0,1\n1,2\n1,2\n2,\n2,\n"))

    assert trace.amounts.size == 3
    assert trace.repairs == (
        "2 rows repeat the row before and were counted once (first in line 4)",
    )


def test_few_bins_out_of_order_are_put_in_order_and_told(folder: Path) -> None:
    rows = [f"{minute},{minute}" for minute in range(200)]
    rows[20], rows[21] = rows[21], rows[20]
    trace = read_trace(write(folder, "minute,requests\n" + "\n".join(rows)))

    assert trace.amounts.tolist() == list(range(200))
    assert trace.repairs == (
        "1 row is earlier than the row before and was put in order (line 23)",
    )


@pytest.mark.parametrize("step", [None, 2.0], ids=["kept", "counted"])
def test_requests_may_come_in_any_order(folder: Path, step: float | None) -> None:
    trace = read_trace(write(folder, "arrival_s\n5\n1\n3\n9\n7\n"), step=step)

    assert trace.demand(2).rate.values.tolist() == [0.5, 0.5, 0.5, 0.5]
    assert trace.repairs == (
        "2 rows are earlier than the row before and were put in order (first in line 3)",
    )


@pytest.mark.parametrize("cell", ["nan", "inf", "-Infinity"])
def test_what_is_no_finite_number_is_a_gap_and_told(folder: Path, cell: str) -> None:
    trace = read_trace(write(folder, f"minute,requests\n0,1\n1,{cell}\n"))

    np.testing.assert_array_equal(trace.amounts, [1, np.nan])
    assert trace.repairs == ("1 cell holds no finite number and counts as a gap (line 3)",)


def test_a_counter_is_read_by_its_growth_with_resets_and_holes(folder: Path) -> None:
    text = "minute,n,missing\n0,100,0\n1,160,0\n2,30,0\n3,,0\n4,90,0\n5,150,0\n8,160,0\n9,170,0\n"
    trace = read_trace(write(folder, text), column="n", is_counter=True)
    demand = trace.demand()

    gap = np.nan
    np.testing.assert_array_equal(
        demand.rate.values * 60, [60, 30, gap, gap, 60, gap, gap, gap, 10]
    )
    assert demand.repairs == ("the counter fell once, which was read as a reset to zero (line 4)",)
