import pytest
from multidict import CIMultiDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags, get_current_span

from inference.gateway.completion import Operation
from inference.gateway.events import response_attributes
from inference.gateway.spans import (
    Spans,
    hedged,
    kept_alive,
    link,
    retried,
)
from inference.gateway.timeline import Outcome, Timeline
from telemetry.tracing import inject, open_tracing
from tests.inference.gateway.exchanges import WALL, answered_timeline, exchange

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
ASKED = {
    "temperature": 0.5, "top_p": 0.9, "top_k": 40, "seed": 7, "n": 2, "max_tokens": 64,
    "frequency_penalty": 0.1, "presence_penalty": 0.2, "stop": ["end", "fin"],
}  # fmt: skip


@pytest.fixture
def exported():
    return InMemorySpanExporter()


@pytest.fixture
def spans(exported):
    tracing = open_tracing("gateway", instance="g1", exporter=exported)
    yield Spans(tracing.tracer, is_exported=tracing.is_exported)
    tracing.close()


@pytest.fixture
def unexported():
    tracing = open_tracing("gateway", instance="g1")
    yield Spans(tracing.tracer, is_exported=tracing.is_exported)
    tracing.close()


@pytest.fixture
def tell(spans, exported):
    """Tell one request; return its span, and its children by name."""

    def telling(one=None, *, headers=None, **options):
        one = one or exchange()
        with spans.request(Operation.CHAT, headers or {}, one.timeline) as span:
            spans.finish(span, one, **options)
        ended = exported.get_finished_spans()
        (parent,) = [one for one in ended if one.kind is SpanKind.SERVER]
        children = sorted(
            (one for one in ended if one is not parent), key=lambda one: one.start_time
        )
        assert all(one.parent.span_id == parent.context.span_id for one in children)
        return parent, children

    return telling


def offsets(span):
    """Return start and end in milliseconds from the request's arrival."""
    return tuple(round((at - int(WALL * 1e9)) / 1e6, 3) for at in (span.start_time, span.end_time))


# --- the request ----------------------------------------------------------------------------


def test_a_span_is_named_for_its_operation_and_model_and_lasts_as_long(tell):
    parent, _ = tell()

    assert parent.name == "chat tiny"
    assert parent.kind is SpanKind.SERVER
    assert offsets(parent) == (0.0, 1500.0)
    assert parent.status.status_code is StatusCode.UNSET


def test_it_says_what_was_asked_and_answered_under_the_names_of_the_conventions(tell):
    one = exchange(fields=ASKED, streams=True, replica="r1", version="v2")
    body = {"id": "chatcmpl-1", "model": "tiny", "choices": [{"finish_reason": "stop"}]}
    one.response = response_attributes(body)
    parent, _ = tell(one, headers=CIMultiDict(host="models.example:8443"))

    assert dict(parent.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "warmfront",
        "gen_ai.request.model": "tiny",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.seed": 7,
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.2,
        "gen_ai.request.stop_sequences": ("end", "fin"),
        "gen_ai.request.stream": True,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "tiny",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.5,
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 10,
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "server.address": "models.example",
        "server.port": 8443,
        "warmfront.request_id": "req-1",
        "warmfront.priority": "standard",
        "warmfront.tenant": "acme",
        "warmfront.replica": "r1",
        "warmfront.version": "v2",
        "warmfront.device_seconds": 0.1,
    }


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        pytest.param(Outcome.REPLICA_LOST, 502, StatusCode.ERROR, id="ours"),
        pytest.param(Outcome.REJECTED, 400, StatusCode.UNSET, id="the client's"),
        pytest.param(Outcome.DISCONNECTED, 499, StatusCode.UNSET, id="the client left"),
    ],
)
def test_a_failure_says_its_type_and_only_ours_are_errors(tell, outcome, status, code):
    parent, children = tell(exchange(outcome=outcome, status=status))

    assert parent.attributes["error.type"] == outcome.value
    assert parent.attributes["http.response.status_code"] == status
    assert parent.status.status_code is code
    assert "flush" not in {one.name for one in children}  # nobody knows what came last


def test_a_request_that_is_refused_has_a_span_too(spans, exported):
    with spans.request(Operation.TEXT, {}, Timeline(0.0, wall=WALL)) as span:
        spans.refused(span, 404, Outcome.REJECTED)
    (ended,) = exported.get_finished_spans()

    assert ended.name == "text_completion"
    assert ended.attributes["error.type"] == "rejected"
    assert ended.attributes["http.response.status_code"] == 404


def test_a_handler_that_fails_ends_the_span(spans, exported):
    with pytest.raises(RuntimeError), spans.request(Operation.CHAT, {}, Timeline(0.0, wall=WALL)):
        raise RuntimeError

    assert len(exported.get_finished_spans()) == 1
    assert not get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("host", ["", "[::1", "a:b", "a:99999999", "\udcff\ud800"])
def test_a_host_that_is_none_harms_nothing(spans, exported, host):
    with spans.request(Operation.CHAT, {"Host": host}, Timeline(0.0, wall=WALL)):
        pass

    encode_spans(exported.get_finished_spans())


def test_what_clients_write_cannot_break_the_export(tell, exported):
    tell(exchange(fields={"stop": ["\ud800" * 1000] * 1000}))
    (stops,) = [
        one.attributes["gen_ai.request.stop_sequences"]
        for one in exported.get_finished_spans()
        if one.kind is SpanKind.SERVER
    ]
    encode_spans(exported.get_finished_spans())

    assert len(stops) == 16
    assert max(len(one) for one in stops) == 256


# --- the stages -----------------------------------------------------------------------------


def test_each_stage_is_a_child_at_its_own_time(tell):
    _, children = tell(exchange(answered_timeline(encode=0.05)))

    assert [(one.name, *offsets(one)) for one in children] == [
        ("gateway", 0.0, 10.0),
        ("queue", 10.0, 210.0),
        ("gateway", 210.0, 220.0),
        ("encode", 220.0, 270.0),
        ("schedule", 270.0, 350.0),
        ("prefill", 350.0, 500.0),
        ("decode", 500.0, 1400.0),
        ("flush", 1400.0, 1500.0),
    ]
    assert all(one.kind is SpanKind.INTERNAL for one in children)


def test_a_wait_for_a_starting_replica_is_a_cold_start(tell):
    _, children = tell(was_short=True)
    (cold,) = [one for one in children if one.name == "cold start"]

    assert offsets(cold) == (10.0, 210.0)


def test_one_given_up_during_a_cold_start_shows_its_wait(tell):
    timeline = Timeline(5.0, wall=WALL, queued=5.1, flushed=9.0)
    ended = exchange(timeline, outcome=Outcome.NO_REPLICA, status=503)
    _, children = tell(ended, was_short=True)

    assert sorted((one.name, *offsets(one)) for one in children) == [
        ("cold start", 100.0, 4000.0), ("gateway", 0.0, 100.0), ("queue", 100.0, 4000.0),
    ]  # fmt: skip


def test_one_that_did_not_wait_had_no_cold_start(tell):
    timeline = answered_timeline()
    timeline.routed = timeline.queued
    _, children = tell(exchange(timeline), was_short=True)

    assert "cold start" not in {one.name for one in children}


# --- events and links -----------------------------------------------------------------------


def test_what_happened_on_the_way_is_told_as_events(spans, exported):
    with spans.request(Operation.CHAT, {}, Timeline(0.0, wall=WALL)) as span:
        retried(span, replica="r1", reason="lost")
        hedged(span, replica="r2")
        kept_alive(span)
    (ended,) = exported.get_finished_spans()

    assert [(one.name, dict(one.attributes)) for one in ended.events] == [
        ("retry", {"warmfront.replica": "r1", "warmfront.reason": "lost"}),
        ("hedge", {"warmfront.replica": "r2"}),
        ("keep-alive", {}),
    ]


def test_one_that_shares_an_answer_is_linked_to_the_one_that_it_was_computed_for(spans, exported):
    leader = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
    with spans.request(Operation.CHAT, {}, Timeline(0.0, wall=WALL)) as span:
        link(span, leader)
        link(span, None)
    (ended,) = exported.get_finished_spans()

    assert [one.context for one in ended.links] == [leader]


# --- from process to process ----------------------------------------------------------------


@pytest.mark.parametrize("headers", [SAMPLED, UNSAMPLED], ids=["sampled", "not sampled"])
@pytest.mark.parametrize("fixture", ["spans", "unexported"])
def test_the_callers_trace_goes_on_to_the_replica(request, headers, fixture):
    spans, onward = request.getfixturevalue(fixture), {}
    with spans.request(Operation.CHAT, CIMultiDict(headers), Timeline(0.0, wall=WALL)) as span:
        inject(onward)
    version, trace, parent, flags = onward["traceparent"].split("-")

    assert (version, trace, flags) == ("00", TRACE, headers["traceparent"][-2:])
    assert parent == f"{span.get_span_context().span_id:016x}"
    assert parent != PARENT


def test_without_an_exporter_a_new_trace_still_has_its_ids(unexported):
    ids = set()
    for _ in range(3):
        onward: dict[str, str] = {}
        with unexported.request(Operation.CHAT, {}, Timeline(0.0, wall=WALL)) as span:
            assert get_current_span() is span
            inject(onward)
        ids.add(onward["traceparent"])
        assert onward["traceparent"].endswith("-01")

    assert len(ids) == 3


def test_without_an_exporter_there_is_nothing_to_tell_and_no_exemplar(unexported):
    one = exchange()
    with unexported.request(Operation.CHAT, SAMPLED, one.timeline) as span:
        assert unexported.exemplar(span) is None
        unexported.finish(span, one)
        unexported.refused(span, 404, Outcome.REJECTED)
        link(span, span.get_span_context())
        kept_alive(span)


def test_an_exemplar_names_the_trace_where_it_will_be_seen(spans, exported):
    with spans.request(Operation.CHAT, SAMPLED, Timeline(0.0, wall=WALL)) as span:
        assert spans.exemplar(span) == {"trace_id": TRACE}
    with spans.request(Operation.CHAT, UNSAMPLED, Timeline(0.0, wall=WALL)) as span:
        assert spans.exemplar(span) is None
        spans.finish(span, exchange())

    assert len(exported.get_finished_spans()) == 1
