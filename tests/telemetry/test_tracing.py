import asyncio
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from multidict import CIMultiDict
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from telemetry.tracing import carry, exemplar_of, extract, inject, open_tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans):
    opened = open_tracing("gateway", otlp_endpoint=None, instance="g1", exporter=spans)
    yield opened
    opened.close()


def test_a_span_says_which_service_and_instance_it_is_of(tracing, spans):
    with tracing.tracer.start_as_current_span("request"):
        pass
    (span,) = spans.get_finished_spans()

    assert span.resource.attributes["service.name"] == "gateway"
    assert span.resource.attributes["service.instance.id"] == "g1"


@pytest.mark.parametrize("headers", [{"traceparent": PARENT}, CIMultiDict(TraceParent=PARENT)])
def test_the_trace_goes_on_from_the_caller_to_the_next_process(tracing, spans, headers):
    onward: dict[str, str] = {}
    with tracing.tracer.start_as_current_span("request", context=extract(headers)):
        inject(onward)
    (span,) = spans.get_finished_spans()

    assert f"{span.context.trace_id:032x}" == TRACE
    assert onward["traceparent"] == f"00-{TRACE}-{span.context.span_id:016x}-01"


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_header_that_is_none_begins_a_new_trace(tracing, spans, header):
    context = extract({"traceparent": header})
    with tracing.tracer.start_as_current_span("request", context=context):
        pass
    (span,) = spans.get_finished_spans()

    assert span.parent is None


def test_extracting_does_not_look_at_the_current_span(tracing, spans):
    with (
        tracing.tracer.start_as_current_span("outer"),
        tracing.tracer.start_as_current_span("request", context=extract({})),
    ):
        pass

    assert all(span.parent is None for span in spans.get_finished_spans())


def test_outside_of_a_span_nothing_is_injected():
    headers: dict[str, str] = {}
    inject(headers)

    assert headers == {}


def test_two_tracings_share_no_spans_and_none_is_global(tracing, spans):
    other = open_tracing("replica", otlp_endpoint=None, instance="r1")
    with other.tracer.start_as_current_span("elsewhere"):
        pass
    with trace.get_tracer("global").start_as_current_span("nowhere"):
        pass
    other.close()

    assert spans.get_finished_spans() == ()


async def test_tasks_keep_their_own_current_span(tracing, spans):
    async def request(name):
        with tracing.tracer.start_as_current_span(name):
            await asyncio.sleep(0)
            with tracing.tracer.start_as_current_span(f"{name} child"):
                await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        group.create_task(request("one"))
        group.create_task(request("two"))
    ended = {span.name: span for span in spans.get_finished_spans()}

    for name in ("one", "two"):
        assert ended[f"{name} child"].parent.span_id == ended[name].context.span_id


# --- sampling and export --------------------------------------------------------------------


def test_only_a_tracing_with_somewhere_to_send_to_is_exported(tracing):
    plain = open_tracing("gateway", instance="g1")
    collected = open_tracing("gateway", instance="g1", otlp_endpoint="http://127.0.0.1:1")

    assert tracing.is_exported
    assert collected.is_exported
    assert not plain.is_exported
    plain.close()
    collected.close()


@pytest.mark.parametrize(
    ("ratio", "headers", "recorded"),
    [
        pytest.param(1.0, {}, True, id="all"),
        pytest.param(0.0, {}, False, id="none"),
        pytest.param(0.0, {"traceparent": PARENT}, True, id="the caller samples"),
        pytest.param(1.0, {"traceparent": UNSAMPLED}, False, id="the caller does not"),
    ],
)
def test_a_share_of_new_traces_is_recorded_and_of_others_what_their_caller_says(
    spans, ratio, headers, recorded
):
    opened = open_tracing("gateway", instance="g1", exporter=spans, sample_ratio=ratio)
    with opened.tracer.start_as_current_span("request", context=extract(headers)) as span:
        exemplar = exemplar_of(span)
    opened.close()

    assert bool(spans.get_finished_spans()) is recorded
    assert bool(exemplar) is recorded


def test_an_exemplar_is_the_id_of_the_trace(tracing):
    context = extract({"traceparent": PARENT})
    with tracing.tracer.start_as_current_span("request", context=context) as span:
        assert exemplar_of(span) == {"trace_id": TRACE}


@pytest.mark.parametrize("parent", [PARENT, UNSAMPLED])
def test_a_span_that_only_carries_goes_on_with_the_callers_trace(parent):
    headers = {"traceparent": parent, "tracestate": "vendor=1"}
    span, onward = carry(extract(headers)), {}
    inject(onward, trace.set_span_in_context(span))

    assert onward["traceparent"][:35] == parent[:35]
    assert onward["traceparent"][-2:] == parent[-2:]
    assert onward["traceparent"] != parent
    assert onward["tracestate"] == "vendor=1"
    assert exemplar_of(span) is None


def test_a_span_that_only_carries_begins_a_trace_where_there_is_none():
    contexts = [carry(extract({})).get_span_context() for _ in range(2)]

    assert all(one.is_valid and one.trace_flags.sampled for one in contexts)
    assert contexts[0].trace_id != contexts[1].trace_id


class Collector(HTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), CollectorHandler)
        self.taken: list[tuple[str, ExportTraceServiceRequest]] = []


class CollectorHandler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_closing_sends_what_is_left_to_the_collector():
    with Collector() as collector:
        threading.Thread(target=collector.serve_forever, args=(0.01,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{collector.server_port}"
        tracing = open_tracing("gateway", otlp_endpoint=endpoint, instance="g1")
        with tracing.tracer.start_as_current_span("request"):
            pass
        tracing.close()
        collector.shutdown()
    ((path, request),) = collector.taken

    assert path == "/v1/traces"
    assert request.resource_spans[0].scope_spans[0].spans[0].name == "request"


def test_a_collector_that_is_not_there_does_not_hold_up_the_end():
    tracing = open_tracing("gateway", otlp_endpoint="http://127.0.0.1:1", instance="g1")
    with tracing.tracer.start_as_current_span("request"):
        pass
    started = time.monotonic()
    tracing.close()

    assert time.monotonic() - started < 20


@pytest.mark.parametrize("endpoint", ["", "localhost:4318", "grpc://host:4317"])
def test_an_endpoint_that_is_none_is_refused_at_once(endpoint):
    with pytest.raises(ValueError, match="expected an OTLP endpoint"):
        open_tracing("gateway", otlp_endpoint=endpoint, instance="g1")
