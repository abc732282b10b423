"""Demand of a query: held against answers made up, and against a real Prometheus."""

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from forecaster.demand.demand import TOKENS, DemandError
from forecaster.demand.prometheus import PrometheusSource
from forecaster.demand.sources import read_demand_of
from telemetry import catalog
from telemetry.series import Window

T0 = 1_699_999_200.0  # a whole hour
MINUTES = Window(T0 + 60, T0 + 240, 60.0)


class Answering(ThreadingHTTPServer):
    """Answers every query with the same series and keeps what was asked."""

    def __init__(self, *results: object, status: int = 200, error: str = ""):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        found = {"status": "success", "data": {"resultType": "matrix", "result": results}}
        self.body = {"status": "error", "error": error} if error else found
        self.asked: list[dict[str, str]] = []

    @property
    def source(self) -> PrometheusSource:
        return PrometheusSource(f"http://127.0.0.1:{self.server_port}", timeout_seconds=5)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append(dict(urllib.parse.parse_qsl(form)))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.body).encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve() -> Iterator[Callable[..., Answering]]:
    servers: list[Answering] = []

    def start(*results: object, **more: object) -> Answering:
        servers.append(Answering(*results, **more))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def series(*values: object, **labels: str) -> dict[str, object]:
    at = [T0 + 60 * (1 + place) for place in range(len(values))]
    pairs = [[t, str(v)] for t, v in zip(at, values, strict=True) if v is not None]
    return {"metric": labels, "values": pairs}


def test_points_without_a_value_are_gaps(serve):
    server = serve(series(1.5, None, "NaN", 0, job="a"))
    demand = server.source.of_query("sum(rate(x[5m]))", MINUTES, unit=TOKENS)

    np.testing.assert_array_equal(demand.rate.values, [1.5, np.nan, np.nan, 0])
    assert demand.rate.labels == {"job": "a"}
    assert demand.unit == TOKENS
    assert demand.repairs == ()


def test_several_series_are_listed_unless_summed(serve):
    server = serve(series(1, 2, None, 4, job="a"), series(1, None, None, 1, job="b"))

    with pytest.raises(DemandError, match=r'got 2: \{job="a"\}; \{job="b"\}\. Choose one'):
        server.source.of_query("x", MINUTES)
    summed = server.source.of_query("x", MINUTES, is_summed=True)
    np.testing.assert_array_equal(summed.rate.values, [2, 2, np.nan, 5])


@pytest.mark.parametrize(
    ("query", "is_counter", "asked", "told"),
    [
        pytest.param("x_total", None, "rate(x_total[60000ms])", 1, id="by its name"),
        pytest.param('x{a="b"}', True, 'rate(x{a="b"}[60000ms])', 0, id="by being told"),
        pytest.param("x_total", False, "x_total", 0, id="told that it is none"),
        pytest.param("sum(x_total)", None, "sum(x_total)", 0, id="not within a query"),
    ],
)
def test_a_counter_is_asked_for_its_growth(serve, query, is_counter, asked, told):
    server = serve(series(1, 2, 3, 4))
    demand = server.source.of_query(query, MINUTES, is_counter=is_counter)

    assert [one["query"] for one in server.asked] == [asked]
    assert len(demand.repairs) == told


def test_infinite_points_are_gaps_and_told(serve):
    demand = serve(series(1, "+Inf", 3, 4)).source.of_query("x", MINUTES)

    np.testing.assert_array_equal(demand.rate.values, [1, np.nan, 3, 4])
    assert demand.repairs == ("1 point is infinite and counts as a gap",)


@pytest.mark.parametrize(
    ("results", "more", "message"),
    [
        pytest.param([], {}, r"x: Prometheus at .* has no value for it between", id="empty"),
        pytest.param([series(1, -2)], {}, r"at least 0, got -2 at 1699999320", id="negative"),
        pytest.param(
            [], {"status": 400, "error": "parse error: unexpected )"},
            "x: .*answered 400: parse error", id="a bad query",
        ),
    ],
)  # fmt: skip
def test_what_gives_no_demand_is_said(serve, results, more, message):
    with pytest.raises(DemandError, match=message):
        serve(*results, **more).source.of_query("x", MINUTES)


def test_an_answer_that_is_no_matrix_is_refused(serve):
    server = serve()
    server.body["data"]["resultType"] = "scalar"

    with pytest.raises(DemandError, match="answered with a scalar: expected the values of series"):
        server.source.of_query("x", MINUTES)


def test_a_prometheus_that_is_not_there_is_said():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    with pytest.raises(DemandError, match=r"127\.0\.0\.1.*refused.*check that it runs"):
        PrometheusSource(url, timeout_seconds=1).of_query("x", MINUTES)


def test_a_query_within_a_counter_is_refused():
    with pytest.raises(DemandError, match="expected a metric and its labels"):
        PrometheusSource("http://h").of_query("rate(x[5m])", MINUTES, is_counter=True)


def test_a_model_that_was_never_counted_is_said(serve):
    with pytest.raises(DemandError, match=r'no arrivals of \{model="m", region="eu"\}'):
        serve().source.of_model("m", MINUTES, labels={"region": "eu"})


# --- a real one -----------------------------------------------------------------------------

MINUTES_OF_DATA = 12_000  # more than one answer holds


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if not (shutil.which("prometheus") and shutil.which("promtool")):
        pytest.skip("prometheus and promtool are not installed")
    folder = tmp_path_factory.mktemp("prometheus")
    backfill(folder)
    (folder / "prometheus.yml").write_text("global: {}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        try:
            wait_until_ready(f"http://{address}", process)
            yield f"http://{address}"
        finally:
            process.kill()


def backfill(folder: Path) -> None:
    """Write 12 requests a minute of model a and 6 of b, reset half-way; a reading per 30 s."""
    name = catalog.GATEWAY_ARRIVALS.name
    page = folder / "samples.txt"
    with page.open("w") as samples:
        samples.write(f"# TYPE {name} unknown\n")
        for model, each in (("a", 6), ("b", 3)):
            for at in range(2 * MINUTES_OF_DATA + 1):
                counted = at if at <= MINUTES_OF_DATA else at - MINUTES_OF_DATA
                samples.write(f'{name}{{model="{model}"}} {each * counted} {T0 + 30 * at:.0f}\n')
        samples.write("# EOF\n")
    promtool = ["promtool", "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run(
        [*promtool, "--max-block-duration=400h", str(page), str(folder / "data")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=1):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"Prometheus is not ready (exit status {process.poll()})")


END = T0 + 60 * MINUTES_OF_DATA


@pytest.mark.prometheus
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"model": "a"}, id="model"),
        pytest.param({"query": catalog.GATEWAY_ARRIVALS.name + '{model="a"}'}, id="counter"),
        pytest.param(
            {"query": f'sum(rate({catalog.GATEWAY_ARRIVALS.name}{{model="a"}}[1m]))'}, id="query"
        ),
    ],
)
def test_more_points_than_one_answer_holds_are_read_with_a_reset(prometheus, asked):
    span = 60.0 * (MINUTES_OF_DATA + 100)
    demand = read_demand_of(prometheus, step=60, end=END, history_seconds=span, **asked)
    values = demand.rate.values

    assert demand.size == MINUTES_OF_DATA + 100
    assert np.isnan(values[:99]).all()
    assert np.isfinite(values[101:]).all()
    assert np.median(values[101:]) == pytest.approx(0.2)
    # Nothing was counted in the reading of the reset; no step has more than was asked for.
    assert np.nansum(values) * 60 == pytest.approx(12 * MINUTES_OF_DATA, abs=36)


@pytest.mark.prometheus
def test_what_a_real_one_refuses_is_said(prometheus):
    source = PrometheusSource(prometheus)
    with pytest.raises(DemandError, match=r"got 2: \{__name__=.*model=\"a\"\}"):
        source.of_query(catalog.GATEWAY_ARRIVALS.name, MINUTES, is_counter=False)
    with pytest.raises(DemandError, match=r"answered 400: .*parse error"):
        source.of_query("sum(", MINUTES)
    with pytest.raises(DemandError, match=r"answered 400: .*expression"):
        source.of_query("'text'", MINUTES)
    with pytest.raises(DemandError, match="has no value for it"):
        source.of_query("unheard_of", MINUTES)
