"""What every reader of series promises, held against SQLite and a real Prometheus."""

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from telemetry.catalog import Kind, Metric
from telemetry.clock import ManualClock
from telemetry.prometheus_store import PrometheusReader
from telemetry.quantiles import read_quantiles
from telemetry.series import Sample, Selector, Window
from telemetry.sqlite_store import SqliteStore
from telemetry.store import Reader

T0 = 1_699_999_200.0  # a whole hour
MINUTES = Window(T0 + 60, T0 + 600, 60.0)
ODD = 'quote " backslash \\ newline \n braces {a="b"}, \u00e9 \u2028 # end'


def readings(name, labels, values, *, start=T0, step=15.0):
    return [
        Sample(name, labels, start + step * i, float(value))
        for i, value in enumerate(values)
        if value is not None
    ]


def with_gap(values, *, since, until):
    """Leave out the readings with since < time <= until, seconds after T0."""
    return [None if since < 15 * i <= until else value for i, value in enumerate(values)]


STEADY = [3.0 * i for i in range(41)]  # 12 a minute
LATENCY = Metric("latency_seconds", "Time.", Kind.HISTOGRAM, "seconds", (), (0.1, 0.5, 1.0))
SAMPLES = [
    *readings("steady_total", {"model": "a", "zone": "x"}, STEADY),
    *readings("steady_total", {"model": "b", "zone": "x"}, [0.5 * v for v in STEADY]),
    *readings("reset_total", {}, [*STEADY[:21], *STEADY[:20]]),
    *readings("holed_total", {}, with_gap(STEADY, since=120, until=300)),
    *readings("depth", {"pool": "p"}, with_gap(range(41), since=120, until=240)),
    *readings("odd", {"text": ODD}, [1.0] * 41),
    *readings("infinite", {}, [float("inf")] * 41),
    *readings("broken", {}, [float("nan")] * 41),
    *readings("born_total", {"code": "500"}, [7, 7, 7, 7, 7, 10, 10, 10], start=T0 + 315),
    *readings("once_total", {}, [5], start=T0 + 315),
    *readings("latency_seconds_bucket", {"le": "0.1", "zone": "x"}, [2 * i for i in range(41)]),
    *readings("latency_seconds_bucket", {"le": "0.5", "zone": "x"}, [6 * i for i in range(41)]),
    *readings("latency_seconds_bucket", {"le": "1.0", "zone": "x"}, [8 * i for i in range(41)]),
    *readings("latency_seconds_bucket", {"le": "+Inf", "zone": "x"}, [8 * i for i in range(41)]),
    *readings("latency_seconds_bucket", {"le": "0.1", "zone": "y"}, [0] * 41),
    *readings("latency_seconds_bucket", {"le": "0.5", "zone": "y"}, [0] * 41),
    *readings("latency_seconds_bucket", {"le": "1.0", "zone": "y"}, [4 * i for i in range(41)]),
    *readings("latency_seconds_bucket", {"le": "+Inf", "zone": "y"}, [8 * i for i in range(41)]),
]


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("prometheus", marks=pytest.mark.prometheus)]
)
def reader(request, tmp_path_factory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        store = SqliteStore(folder / "m.db", retention_seconds=86400, clock=ManualClock(T0 + 600))
        store.write(SAMPLES)
        yield store
        store.close()
    else:
        with_prometheus = prometheus(folder)
        yield PrometheusReader(next(with_prometheus), timeout_seconds=10)
        with_prometheus.close()


def prometheus(folder: Path) -> Iterator[str]:
    """Run a real Prometheus over the samples; yield its address."""
    if not (shutil.which("prometheus") and shutil.which("promtool")):
        pytest.skip("prometheus and promtool are not installed")
    backfill(folder)
    (folder / "prometheus.yml").write_text("global: {}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def backfill(folder: Path) -> None:
    page = folder / "samples.txt"
    page.write_text("".join(open_metrics()) + "# EOF\n")
    promtool = ["promtool", "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run(
        [*promtool, "--max-block-duration=24h", str(page), str(folder / "data")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


def open_metrics() -> Iterator[str]:
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    for name in dict.fromkeys(sample.name for sample in SAMPLES):
        yield f"# TYPE {name} unknown\n"
        for sample in SAMPLES:
            if sample.name == name:
                labels = ",".join(
                    f'{k}="{v.translate(escapes)}"' for k, v in sample.labels.items()
                )
                yield f"{name}{{{labels}}} {sample.value} {sample.at:.3f}\n"


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=1):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"Prometheus is not ready (exit status {process.poll()})")


def only(found):
    (one,) = found
    return one


# --- gauge ----------------------------------------------------------------------------------


def test_gauge_is_the_newest_value_up_to_each_point(reader):
    series = only(reader.gauge(Selector("steady_total", {"model": "a"}), MINUTES))

    assert series.labels == {"model": "a", "zone": "x"}
    assert series.values.tolist() == [12.0 * minute for minute in range(1, 11)]


def test_gauge_between_readings_is_the_last_one(reader):
    window = Window(T0 + 37, T0 + 97, 30.0)

    assert only(reader.gauge(Selector("depth"), window)).values.tolist() == [2, 4, 6]


def test_gauge_of_a_step_without_a_reading_is_a_gap_not_zero(reader):
    values = only(reader.gauge(Selector("depth"), MINUTES)).values

    np.testing.assert_array_equal(values, [4, 8, np.nan, np.nan, 20, 24, 28, 32, 36, 40])


def test_gauge_does_not_take_the_reading_that_ended_the_step_before(reader):
    window = Window(T0 + 120, T0 + 135, 15.0)

    np.testing.assert_array_equal(
        only(reader.gauge(Selector("depth"), window)).values, [8, np.nan]
    )


def test_gauge_keeps_infinity(reader):
    assert only(reader.gauge(Selector("infinite"), Window(T0 + 60, T0 + 60, 60))).values == np.inf


def test_a_reading_that_is_not_a_number_is_no_data(reader):
    assert list(reader.gauge(Selector("broken"), MINUTES)) == []


# --- selecting ------------------------------------------------------------------------------


def test_every_series_with_the_labels_is_meant(reader):
    found = reader.gauge(Selector("steady_total", {"zone": "x"}), MINUTES)

    assert sorted(series.labels["model"] for series in found) == ["a", "b"]


@pytest.mark.parametrize(
    "selector",
    [
        pytest.param(Selector("unheard_of"), id="no such name"),
        pytest.param(Selector("steady_total", {"model": "c"}), id="no such label value"),
        pytest.param(Selector("steady_total", {"model": "a", "rack": "1"}), id="no such label"),
        pytest.param(Selector("steady_total", {"model": ".*"}), id="values are no patterns"),
        pytest.param(Selector("odd", {"text": 'x"} or odd{text!="'}), id="values are no queries"),
    ],
)
def test_no_data_is_an_empty_list(reader, selector):
    assert list(reader.gauge(selector, MINUTES)) == []
    assert list(reader.increase(selector, MINUTES)) == []
    assert list(reader.latest(selector, at=T0 + 600, within=600)) == []


def test_a_series_without_data_in_the_window_is_not_returned(reader):
    window = Window(T0 + 3600, T0 + 7200, 60.0)

    assert list(reader.gauge(Selector("steady_total"), window)) == []
    assert list(reader.increase(Selector("steady_total"), window)) == []


def test_label_values_may_hold_anything(reader):
    found = only(reader.gauge(Selector("odd", {"text": ODD}), MINUTES))

    assert found.labels == {"text": ODD}


# --- increase -------------------------------------------------------------------------------


def test_increase_is_the_growth_in_each_step(reader):
    # Prometheus extrapolates from the readings to the step, which changes nothing here.
    values = only(reader.increase(Selector("steady_total", {"model": "a"}), MINUTES)).values

    assert values[1:] == pytest.approx([12.0] * 9)
    assert values[0] == pytest.approx(12.0)


def test_a_counter_that_falls_was_reset_and_counts_from_zero(reader):
    values = only(reader.increase(Selector("reset_total"), MINUTES)).values

    # 20 readings of growth 3 before the reset at 315 s, 19 after it; Prometheus extrapolates
    # over the reading in which nothing was counted, at most one reading's growth per step.
    assert (values >= 0).all()
    assert values.sum() == pytest.approx(3.0 * 39, abs=3.0)


def test_increase_over_a_hole_is_a_gap(reader):
    values = only(reader.increase(Selector("holed_total"), MINUTES)).values

    assert np.isnan(values[2:5]).all()  # no reading in (120, 300]
    assert values[[0, 1, 6, 7, 8, 9]] == pytest.approx([12.0] * 6)


def test_growth_during_a_hole_is_not_put_into_the_step_after_it(reader):
    values = only(reader.increase(Selector("holed_total"), MINUTES)).values

    # Counted from the first reading after the hole: 9; Prometheus extrapolates it to 12.
    assert 9.0 - 1e-6 <= values[5] <= 12.0 + 1e-6


def test_what_a_counter_held_when_it_was_born_is_no_growth(reader):
    values = only(reader.increase(Selector("born_total", {"code": "500"}), MINUTES)).values

    assert np.isnan(values[:5]).all()
    assert values[5] == 0
    # It grew by 3; Prometheus extrapolates over the part of the step without readings.
    assert np.nansum(values) == pytest.approx(3.0, abs=1.0)


def test_one_reading_cannot_be_compared(reader):
    assert list(reader.increase(Selector("once_total"), MINUTES)) == []


# --- latest ---------------------------------------------------------------------------------


def test_latest_is_the_newest_sample_and_says_when_it_was(reader):
    found = only(reader.latest(Selector("depth"), at=T0 + 100, within=60))

    assert found == Sample("depth", {"pool": "p"}, T0 + 90, 6.0)


@pytest.mark.parametrize(
    ("at", "found"),
    [
        pytest.param(T0 + 150, [8.0], id="as old as allowed"),
        pytest.param(T0 + 150.5, [], id="too old"),
        pytest.param(T0 - 1, [], id="nothing comes from the future"),
    ],
)
def test_latest_is_no_older_than_asked_for(reader, at, found):
    samples = reader.latest(Selector("depth"), at=at, within=30)

    assert [sample.value for sample in samples] == found


def test_latest_returns_each_series(reader):
    found = reader.latest(Selector("steady_total"), at=T0 + 600, within=60)

    assert sorted(sample.value for sample in found) == [60.0, 120.0]


# --- quantiles over a reader ----------------------------------------------------------------


def test_quantiles_of_a_histogram_are_over_all_its_series(reader):
    quantiles = read_quantiles(reader, LATENCY, {}, MINUTES, [0.25, 0.9])

    # Together each reading adds 2, 6, 12, 16 at or below 0.1, 0.5, 1 and +Inf.
    assert quantiles[0.25].values == pytest.approx([0.1 + 0.4 * (4 - 2) / (6 - 2)] * 10)
    assert quantiles[0.9].values == pytest.approx([1.0] * 10)


def test_quantiles_are_those_of_prometheus(reader):
    if not isinstance(reader, PrometheusReader):
        pytest.skip("only Prometheus computes quantiles itself")
    for q in (0.01, 0.25, 0.5, 0.7, 0.74, 0.99, 1.0):
        ours = read_quantiles(reader, LATENCY, {"zone": "x"}, MINUTES, [q])[q].values
        query = f'histogram_quantile({q}, increase(latency_seconds_bucket{{zone="x"}}[1m]))'

        assert ours == pytest.approx(only(reader._on_grid(query, MINUTES)).values)
