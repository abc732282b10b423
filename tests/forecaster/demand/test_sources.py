"""The one door: files by their names, a Prometheus by its address."""

import os
from pathlib import Path

import numpy as np
import pytest

from forecaster.demand.demand import TOKENS, DemandError
from forecaster.demand.sources import read_demand_of


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_file_has_its_own_step(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "window,requests\n0,600\n1,1200\n")

    assert read_demand_of(path).step == 600
    assert read_demand_of(str(path), step=1200).rate.values.tolist() == [1.5]


def test_requests_are_counted_by_the_minute_unless_told(tmp_path: Path) -> None:
    path = write(tmp_path, "a.CSV", "arrival_s\n0\n60\n130\n")
    log = write(tmp_path, "a.jsonl", '{"arrival_s": 0}\n{"arrival_s": 60}\n{"arrival_s": 130}\n')

    for source in (path, log):
        assert read_demand_of(source).rate.values.tolist() == [1 / 60, 1 / 60]
        assert read_demand_of(source, step=65).rate.values.tolist() == [2 / 65, 0]


def test_a_model_that_is_chosen_gives_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "arrival_s,model,class\n0,m,low\n60,m,high\n")
    demand = read_demand_of(path, model="m", priority="low", step=30)

    assert demand.name == "m"
    assert demand.rate.values.tolist() == [1 / 30, 0]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        pytest.param("a.txt", {}, r"ends in one of \.csv, \.csv\.gz, \.parquet", id="suffix"),
        pytest.param("ftp://host/a.csv", {}, "expected a file, or the http", id="scheme"),
        pytest.param("a.csv", {"query": "up"}, "a query can be asked of a Prom", id="query"),
        pytest.param("a.csv", {"step": 0.0}, "a step above 0 s, got 0 s", id="step"),
        pytest.param("a.jsonl", {"column": "c"}, "a log of requests is counted", id="column"),
        pytest.param("http://h", {"query": "up"}, "the end of the time to ask", id="no end"),
        pytest.param("http://h", {"end": 9e8}, "expected a query, or a model", id="no query"),
        pytest.param(
            "http://h", {"end": 9e8, "query": "up", "region": "eu"}, "not both", id="both"
        ),
        pytest.param("http://h", {"end": 9e8, "column": "c"}, "has no columns", id="no columns"),
        pytest.param(
            "http://h", {"end": 9e8, "query": "up", "step": 0.1}, "step of 1 s or more", id="fine"
        ),
        pytest.param(
            "http://", {"end": 9e8, "query": "up"}, "expected a URL such as", id="no host"
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DemandError, match=message):
        read_demand_of(name, **options)


DATA = os.environ.get("WARMFRONT_DATA")


@pytest.mark.skipif(DATA is None, reason="WARMFRONT_DATA names no folder with recorded traces")
@pytest.mark.parametrize(
    ("name", "options", "steps", "known"),
    [
        pytest.param("req_azure2023_conv", {}, 58, 58, id="requests"),
        pytest.param("min1_nasa_jul95", {}, 39_692, 39_692, id="moments"),
        pytest.param("min1_burstgpt_wk1_days0-3", {}, 5_760, 5_760, id="tokens"),
        pytest.param(
            "win10_servegen_m-mid_top12clients", {"column": "c60"}, 2_016, 2_016, id="wide"
        ),
        pytest.param("day_burstgpt1_61d", {}, 61, 61, id="days"),
    ],
)
def test_recorded_traces_are_read(
    name: str, options: dict[str, str], steps: int, known: int
) -> None:
    demand = read_demand_of(Path(str(DATA)) / f"{name}.csv.gz", **options)

    assert demand.size == steps
    assert np.isfinite(demand.rate.values).sum() == known
    assert (demand.unit == TOKENS) == ("burstgpt_wk1" in name)
