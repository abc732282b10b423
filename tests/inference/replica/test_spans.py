"""A request as a trace: the caller's trace goes on, with a child for each stage."""

import asyncio
from pathlib import Path

import pytest

from inference.api import CompletionRequest
from inference.engine.sequence import Timings
from inference.replica import spans
from telemetry.clock import ManualClock
from telemetry.tracing import open_tracing
from tests.inference.replica.conftest import completion
from tests.inference.seeing import data_url, picture, write_seeing

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


async def told(running) -> dict[str, object]:
    """The spans of the last request, by name, once its own has ended."""
    async with asyncio.timeout(5.0):
        while True:
            finished = running.spans.get_finished_spans()
            if any(span.name in {"chat tiny", "text_completion tiny"} for span in finished):
                return {span.name: span for span in finished}
            await asyncio.sleep(0.002)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_span_continues_the_callers_trace_and_has_a_child_for_each_stage(
    running, streamed
):
    running.spans.clear()
    ask = completion(stream=streamed, top_k=5, seed=2**70, stop=["never said"], n=2)
    async with running.http.post("/v1/completions", json=ask, headers=CALLER) as answer:
        assert answer.status == 200
        await answer.read()
    found = await told(running)

    assert found.keys() == {"text_completion tiny", "queue", "prefill", "decode"}
    span = found["text_completion tiny"]
    assert f"{span.context.trace_id:032x}" == TRACE
    attributes = span.attributes
    assert attributes["gen_ai.operation.name"] == "text_completion"
    assert attributes["gen_ai.provider.name"] == "warmfront"
    asked = {
        "model": "tiny", "max_tokens": 8, "temperature": 0, "top_k": 5, "seed": str(2**70),
        "choice.count": 2, "stream": streamed, "stop_sequences": ("never said",),
    }  # fmt: skip
    assert {
        name.removeprefix("gen_ai.request."): value
        for name, value in attributes.items()
        if name.startswith("gen_ai.request.")
    } == asked
    assert attributes["gen_ai.response.model"] == "tiny"
    assert attributes["gen_ai.response.finish_reasons"] == ("length", "length")
    assert attributes["gen_ai.usage.input_tokens"] == 10
    assert attributes["gen_ai.usage.output_tokens"] == 16
    assert attributes["warmfront.device_seconds"] > 0
    assert "error.type" not in attributes
    for name in ("queue", "prefill", "decode"):
        child = found[name]
        assert child.parent.span_id == span.context.span_id
        assert span.start_time <= child.start_time <= child.end_time
        seconds = (child.end_time - child.start_time) / 1e9
        assert seconds == pytest.approx(attributes[f"warmfront.{name}_seconds"], abs=1e-6)
    assert found["prefill"].start_time == pytest.approx(found["queue"].end_time, abs=1000)


async def test_pictures_have_a_stage_of_their_own(start, tmp_path: Path):
    parts = [
        {"type": "image_url", "image_url": {"url": data_url(picture(seed=1))}},
        {"type": "text", "text": "?"},
    ]
    ask = {"model": "tiny", "messages": [{"role": "user", "content": parts}], "max_tokens": 2}
    async with start(model=write_seeing(tmp_path / "model")) as one:
        one.spans.clear()
        status, _, _ = await one.post("/v1/chat/completions", ask)
        found = await told(one)
        metrics = await one.metrics()

    assert status == 200
    span, encode = found["chat tiny"], found["encode"]
    assert span.attributes["warmfront.encode_seconds"] > 0
    assert span.start_time <= encode.start_time
    assert encode.end_time <= found["queue"].start_time + 1000
    series = 'warmfront_replica_stage_seconds_count{model="tiny",replica="r1",stage="encode"}'
    assert metrics[series] == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_request_that_is_refused_is_its_clients_fault(running):
    running.spans.clear()
    await running.post("/v1/completions", completion(prompt="x" * 300), **CALLER)
    found = await told(running)

    assert found.keys() == {"text_completion tiny"}
    (span,) = found.values()
    assert span.attributes["error.type"] == "context_length_exceeded"
    assert span.status.is_ok or span.status.is_unset


def test_what_nobody_will_see_only_carries_ids():
    tracing = open_tracing("replica", instance="r1")
    made = spans.Spans(tracing.tracer, ManualClock(), is_exported=tracing.is_exported)
    with made.request(spans.TEXT, CALLER) as span:
        spans.asked(span, spans.TEXT, CompletionRequest(model="m", prompt="a"), "m")
        spans.answered(span, Timings(0.0, 0.1, 0.2), {})
        made.tell_stages(span, Timings(0.0, 0.1, 0.2), read=1.0, submitted=1.0)

        assert not span.is_recording()
        assert f"{span.get_span_context().trace_id:032x}" == TRACE
    tracing.close()
