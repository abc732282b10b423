import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from forecaster.demand.demand import TOKENS, DemandError
from forecaster.demand.parquet_file import read_parquet

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

NOON = datetime(2025, 1, 31, 12, tzinfo=UTC)


def write(folder: Path, **columns: object) -> Path:
    path = folder / "trace.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def test_bins_are_read_with_their_gaps_over_several_groups(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        minute=[0, 1, 2, 3, 4],
        requests=[60, None, 0, 120, 180],
        input_tokens=[600, 1, 0, None, 60],
        missing=[0, 0, 0, 0, 1],
    )
    demand = read_parquet(path).demand()

    np.testing.assert_array_equal(demand.rate.values, [1, np.nan, 0, 2, np.nan])
    np.testing.assert_array_equal(demand.input_tokens.values, [10, 1 / 60, 0, np.nan, np.nan])


@pytest.mark.parametrize(
    "times",
    [
        pytest.param([NOON, NOON + timedelta(minutes=1)], id="moments with a zone"),
        pytest.param(pa.array([NOON, NOON + timedelta(minutes=1)], pa.timestamp("ns")), id="ns"),
        pytest.param(["2025-01-31T12:00Z", "2025-01-31T12:01Z"], id="texts"),
        pytest.param([1738324800000, 1738324860000], id="milliseconds"),
    ],
)
def test_each_way_to_keep_times_is_read(tmp_path: Path, times: object) -> None:
    trace = read_parquet(write(tmp_path, timestamp=times, total_tokens=[1.0, 2.0]))

    assert (trace.start, trace.bin_seconds, trace.unit) == (1738324800, 60, TOKENS)


def test_requests_are_counted_and_chosen_by_a_label(tmp_path: Path) -> None:
    path = write(tmp_path, arrival_s=[0.0, 4.0, 8.0, 20.0], model=["a", "b", "a", None])
    demand = read_parquet(path, step=10.0, labels={"model": "a"}).demand()

    assert demand.rate.values.tolist() == [0.2, 0.0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        pytest.param({"a": [1]}, "expected a column arrival_s", id="columns"),
        pytest.param({"minute": [0, 1], "requests": [1, -1]}, "row 2: .*at least 0", id="sign"),
        pytest.param({"minute": [0], "requests": ["x"]}, "numbers in requests", id="words"),
        pytest.param({"timestamp": [None, NOON], "y": [1, 2]}, "row 1: .*got ''", id="no time"),
        pytest.param({"minute": pa.array([], pa.int64()), "y": pa.array([], pa.int64())},
                     "at least one row", id="no rows"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_and_row(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(DemandError, match=message):
        read_parquet(write(tmp_path, **columns))


def test_what_is_no_finite_number_is_a_gap_and_told(tmp_path: Path) -> None:
    path = write(tmp_path, minute=[0, 1], requests=[1.0, float("nan")])

    assert read_parquet(path).repairs == (
        "1 cell holds no finite number and counts as a gap (row 2)",
    )


def test_another_file_and_none_are_said_to_be(tmp_path: Path) -> None:
    path = tmp_path / "no.parquet"
    with pytest.raises(DemandError, match="cannot be read"):
        read_parquet(path)
    path.write_text("minute,requests\n0,1\n")
    with pytest.raises(DemandError, match="expected a Parquet file"):
        read_parquet(path)


def test_a_damaged_file_is_said_to_be(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "trace.parquet"
    pq.write_table(pa.table({"minute": np.arange(5000), "requests": rng.random(5000)}), path)
    content = bytearray(path.read_bytes())
    content[100:5000] = bytes(4900)
    path.write_bytes(bytes(content))

    with pytest.raises(DemandError, match="is damaged"):
        read_parquet(path)


def test_without_the_extra_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(DemandError, match=r"pip install 'warmfront\[parquet\]'"):
        read_parquet(tmp_path / "a.parquet")
