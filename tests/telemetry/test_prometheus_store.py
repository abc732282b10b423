"""How a Prometheus that misbehaves is reported; what a sound one says is in the contract."""

import json
import threading
import urllib.parse
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from telemetry.prometheus_store import PrometheusReader
from telemetry.series import Sample, Selector, Window
from telemetry.store import StoreUnavailableError

MINUTES = Window(60, 180, 60)


class Server(ThreadingHTTPServer):
    """Answers every query alike and keeps what was asked."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((self.path, dict(urllib.parse.parse_qsl(form))))
        self.server.answer(self)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        server = Server(answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def replying(status, body):
    def answer(handler):
        handler.send_response(status)
        handler.end_headers()
        handler.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    return answer


def found(*results, **more):
    return {"status": "success", "data": {"resultType": "matrix", "result": results}, **more}


def hang(handler):
    handler.server.released.wait(10)


FAULTS = [
    pytest.param(
        400,
        {"status": "error", "errorType": "bad_data", "error": "exceeded maximum resolution"},
        "answered 400: exceeded maximum resolution",
        id="refused",
    ),
    pytest.param(
        503, {"status": "error", "error": "query timed out"}, "503: query timed out", id="too slow"
    ),
    pytest.param(
        200, found(warnings=["remote read failed"]), "warned: remote read failed", id="warning"
    ),
    pytest.param(200, b"<html>hello</html>", "no answer that could be read", id="not JSON"),
    pytest.param(404, b"not found", "no answer that could be read", id="not Prometheus"),
    pytest.param(200, [1], "answered 200", id="other JSON"),
    pytest.param(200, b"", "no answer that could be read", id="empty"),
    pytest.param(200, b"\xff\xfe", "no answer that could be read", id="not text"),
]


@pytest.mark.parametrize(("status", "body", "message"), FAULTS)
def test_what_is_not_a_sound_answer_is_unavailable(serve, status, body, message):
    reader = PrometheusReader(serve(replying(status, body)).url, timeout_seconds=5)

    with pytest.raises(StoreUnavailableError, match=message):
        reader.gauge(Selector("m"), MINUTES)
    with pytest.raises(StoreUnavailableError, match=message):
        reader.latest(Selector("m"), at=60, within=60)


def test_an_answer_that_does_not_come_is_unavailable(serve):
    server = serve(hang)
    server.released = threading.Event()
    reader = PrometheusReader(server.url, timeout_seconds=0.1)

    with pytest.raises(StoreUnavailableError, match="timed out"):
        reader.increase(Selector("m"), MINUTES)
    server.released.set()


def test_a_prometheus_that_is_not_there_is_unavailable(serve):
    server = serve(hang)
    url = server.url
    server.shutdown()
    server.server_close()

    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1.*refused.*check that it runs"):
        PrometheusReader(url, timeout_seconds=1).gauge(Selector("m"), MINUTES)


def test_gaps_and_stale_points_are_gaps(serve):
    result = {"metric": {"__name__": "m", "a": "1"}, "values": [[120, "2.5"], [180.0, "NaN"]]}
    server = serve(replying(200, found(result)))

    (series,) = PrometheusReader(server.url, timeout_seconds=5).gauge(Selector("m"), MINUTES)

    assert series.labels == {"a": "1"}
    np.testing.assert_array_equal(series.values, [np.nan, 2.5, np.nan])


def test_notes_on_the_query_do_no_harm(serve):
    server = serve(replying(200, found(infos=["metric might not be a counter"])))

    assert PrometheusReader(server.url, timeout_seconds=5).gauge(Selector("m"), MINUTES) == []


def test_latest_asks_for_readings_not_for_points(serve):
    result = {"metric": {"__name__": "m"}, "values": [[30, "1"], [59.5, "2"]]}
    server = serve(replying(200, found(result)))

    reader = PrometheusReader(f"{server.url}/", timeout_seconds=5)
    assert reader.latest(Selector("m", {"a": "b"}), at=60, within=30) == [
        Sample("m", {}, 59.5, 2.0)
    ]
    path, form = server.asked[0]
    assert path == "/api/v1/query"
    assert form["query"] == 'm{a="b"}[30001ms]'


def test_a_path_before_the_api_is_kept(serve):
    server = serve(replying(200, found()))
    PrometheusReader(f"{server.url}/prometheus/", timeout_seconds=5).gauge(Selector("m"), MINUTES)

    assert server.asked[0][0] == "/prometheus/api/v1/query_range"
    assert server.asked[0][1] == {
        "query": "last_over_time(m{}[59999ms])",
        "start": "60.000", "end": "180.000", "step": "60.000", "timeout": "5000ms",
    }  # fmt: skip


@pytest.mark.parametrize("url", ["", "localhost:9090", "ftp://host", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(ValueError, match="expected a URL"):
        PrometheusReader(url, timeout_seconds=1)


@pytest.mark.parametrize(
    "selector",
    [
        pytest.param(Selector("m} or other{"), id="name"),
        pytest.param(Selector("m", {'a="1",b': "2"}), id="label"),
    ],
)
def test_a_name_cannot_carry_a_query(selector):
    with pytest.raises(ValueError, match=r"expected a (metric|label)'s name"):
        PrometheusReader("http://127.0.0.1:1", timeout_seconds=1).gauge(selector, MINUTES)


def test_a_query_of_ones_own_keeps_the_names_of_metrics(serve):
    results = [
        {"metric": {"__name__": name, "a": "1"}, "values": [[60, "1"], [120, "Inf"]]}
        for name in ("m", "n")
    ]
    server = serve(replying(200, found(*results)))
    series = PrometheusReader(server.url, timeout_seconds=5).query_range("{a='1'}", MINUTES)

    assert [one.labels["__name__"] for one in series] == ["m", "n"]
    np.testing.assert_array_equal(series[0].values, [1, np.inf, np.nan])
    assert server.asked[0][1]["query"] == "{a='1'}"


def test_more_points_than_one_answer_may_hold_are_asked_for_in_parts(serve):
    def answer(handler):
        form = handler.server.asked[-1][1]
        values = [[float(form["start"]), "1"], [float(form["end"]), "2"]]
        replying(200, found({"metric": {"a": "1"}, "values": values}))(handler)

    server = serve(answer)
    window = Window(60, 60 * 25_000, 60)
    (series,) = PrometheusReader(server.url, timeout_seconds=5).gauge(Selector("m"), window)

    asked = [(form["start"], form["end"]) for _, form in server.asked]
    assert asked == [
        ("60.000", "600000.000"), ("600060.000", "1200000.000"), ("1200060.000", "1500000.000"),
    ]  # fmt: skip
    assert np.flatnonzero(series.values == 2).tolist() == [9_999, 19_999, 24_999]


def test_what_is_no_series_over_time_is_refused(serve):
    answer = {"status": "success", "data": {"resultType": "string", "result": [1, "text"]}}
    server = serve(replying(200, answer))

    with pytest.raises(StoreUnavailableError, match="answered with a string: expected the values"):
        PrometheusReader(server.url, timeout_seconds=5).query_range("'text'", MINUTES)
