import asyncio
import json
from typing import Any

import pytest

from inference.gateway.events import read_timings
from inference.models.tokenizer import load_tokenizer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = [{"role": "user", "content": "hi"}]
TEXT = {"model": "tiny", "prompt": "once upon", "max_tokens": 8, "temperature": 0}


async def events_of(running, path: str, body: dict[str, Any]) -> list[Any]:
    """Every event of a stream, decoded; the last one must be [DONE]."""
    async with running.http.post(path, json=body | {"stream": True}) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/event-stream"
        lines = (await answer.text()).split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


async def test_a_text_is_continued(running):
    body = await running.complete()

    assert body["object"] == "text_completion"
    assert body["model"] == "tiny"
    assert body["choices"][0]["finish_reason"] == "length"
    cached = body["usage"].pop("prompt_tokens_details")["cached_tokens"]
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18}
    assert 0 <= cached < 10


async def test_a_conversation_is_answered(running):
    ask = {"model": "tiny", "messages": CHAT, "max_completion_tokens": 6, "temperature": 0}

    status, body, headers = await running.post("/v1/chat/completions", ask)

    assert status == 200
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["usage"]["completion_tokens"] == 6
    timings = json.loads(headers["X-Warmfront-Timings"])
    assert timings.keys() == {"ttft", "queue", "encode", "prefill", "decode", "device"}
    assert timings["ttft"] == pytest.approx(timings["queue"] + timings["prefill"])
    assert timings["encode"] == 0
    assert 0 < timings["device"] <= timings["prefill"] + timings["decode"]


@pytest.mark.parametrize("usage", [False, True], ids=["", "usage"])
async def test_a_stream_tells_its_timings_before_its_end_where_asked(running, usage):
    ask = TEXT | {"stream": True, "stream_options": {"include_usage": usage}}
    told = {"X-Warmfront-Timings": "1"}
    async with running.http.post("/v1/completions", json=ask, headers=told) as answer:
        *_, timings, done, end = (await answer.text()).split("\n\n")
    async with running.http.post("/v1/completions", json=ask) as answer:
        assert ": timings" not in await answer.text()

    assert (done, end) == ("data: [DONE]", "")
    read = read_timings(timings.removeprefix(": timings "))
    assert read is not None
    assert 0 < read.device <= read.prefill + read.decode


async def test_a_stream_adds_up_to_the_whole_answer(running):
    whole = await running.complete(max_tokens=30)
    events = await events_of(running, "/v1/completions", TEXT | {"max_tokens": 30})

    text = "".join(event["choices"][0]["text"] for event in events)
    assert text == whole["choices"][0]["text"]
    assert events[-1]["choices"][0]["finish_reason"] == "length"
    assert [event["choices"][0]["finish_reason"] for event in events[:-1]] == [None] * (
        len(events) - 1
    )
    assert len({event["id"] for event in events}) == 1


async def test_a_streamed_chat_begins_with_the_role_and_may_end_with_usage(running):
    ask = {
        "model": "tiny", "messages": CHAT, "max_tokens": 9, "temperature": 0,
        "stream_options": {"include_usage": True},
    }  # fmt: skip
    events = await events_of(running, "/v1/chat/completions", ask)

    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert events[-2]["choices"][0]["finish_reason"] == "length"
    assert events[-1]["choices"] == []
    assert events[-1]["usage"]["completion_tokens"] == 9
    assert all(event["usage"] is None for event in events[:-1])


async def test_without_a_limit_a_chat_may_fill_the_context(running):
    ask = {"model": "tiny", "messages": CHAT, "temperature": 0, "ignore_eos": True}

    _, body, _ = await running.post("/v1/chat/completions", ask)

    assert body["usage"]["total_tokens"] == 256


async def test_without_a_limit_a_completion_has_openais_sixteen_tokens(running):
    body = await running.complete(max_tokens=None, ignore_eos=True)

    assert body["usage"]["completion_tokens"] == 16


async def test_the_same_seed_says_the_same_alone_and_in_company(running):
    warm = {"temperature": 1.0, "seed": 42, "max_tokens": 20}
    alone = await running.complete(**warm)
    company = [running.complete(**warm | {"seed": seed}) for seed in range(9)]

    same, *others = await asyncio.gather(running.complete(**warm), *company)

    assert same["choices"] == alone["choices"]
    assert len({other["choices"][0]["text"] for other in others}) > 1


async def test_without_a_seed_answers_differ(running):
    answers = [await running.complete(temperature=1.0, max_tokens=20) for _ in range(3)]

    assert len({answer["choices"][0]["text"] for answer in answers}) > 1


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_stop_string_ends_the_answer(running, streamed):
    whole = (await running.complete(max_tokens=60))["choices"][0]["text"]
    stop = whole[10:13]
    before = whole[: whole.index(stop)]
    ask = TEXT | {"max_tokens": 60, "stop": [stop, "never said"]}
    if streamed:
        events = await events_of(running, "/v1/completions", ask)
        text = "".join(event["choices"][0]["text"] for event in events)
        finish = events[-1]["choices"][0]["finish_reason"]
    else:
        choice = (await running.complete(**ask))["choices"][0]
        text, finish = choice["text"], choice["finish_reason"]

    assert (text, finish) == (before, "stop")
    await running.until_idle()


async def test_a_prompt_may_be_text_or_tokens(running, checkpoint):
    tokens = load_tokenizer(checkpoint).encode("once upon")
    prompts = ["once upon", ["once upon"], tokens, [tokens]]

    answers = [await running.complete(prompt=prompt) for prompt in prompts]

    assert len({answer["choices"][0]["text"] for answer in answers}) == 1


async def test_several_prompts_are_answered_like_each_alone(running):
    prompts = ["once upon", "a", "once more"]
    alone = [await running.complete(prompt=prompt) for prompt in prompts]

    together = await running.complete(prompt=prompts)

    assert [choice["index"] for choice in together["choices"]] == [0, 1, 2]
    assert [choice["text"] for choice in together["choices"]] == [
        one["choices"][0]["text"] for one in alone
    ]
    assert together["usage"]["prompt_tokens"] == sum(
        one["usage"]["prompt_tokens"] for one in alone
    )


async def test_each_choice_of_each_prompt_has_its_place_in_a_stream(running):
    ask = TEXT | {"prompt": ["ab", "cd"], "n": 2, "temperature": 1, "seed": 5, "max_tokens": 12}
    whole = await running.complete(**ask)
    texts = ["", "", "", ""]
    for event in await events_of(running, "/v1/completions", ask):
        for choice in event["choices"]:
            texts[choice["index"]] += choice["text"]

    assert texts == [choice["text"] for choice in whole["choices"]]
    assert len(set(texts)) == 4


async def test_one_prompt_too_long_refuses_them_all_and_frees_the_others(running):
    ask = TEXT | {"prompt": ["short", "x" * 300]}

    status, body, _ = await running.post("/v1/completions", ask)

    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
    await running.until_idle()


async def test_the_first_choice_is_the_answer_to_the_same_seed_alone(running):
    warm = {"temperature": 1.0, "seed": 8, "max_tokens": 20}
    alone = await running.complete(**warm)
    three = await running.complete(**warm, n=3)

    texts = [choice["text"] for choice in three["choices"]]
    assert texts[0] == alone["choices"][0]["text"]
    assert len(set(texts)) == 3
    assert three["usage"]["prompt_tokens"] == alone["usage"]["prompt_tokens"]
    await running.until_idle()


async def test_a_choice_that_a_stop_string_ends_leaves_the_others_alone(running):
    warm = TEXT | {"temperature": 1.0, "seed": 21, "max_tokens": 40, "n": 3, "ignore_eos": True}
    free = [choice["text"] for choice in (await running.complete(**warm))["choices"]]
    stop = next(text for text in free[0] if not any(text in other for other in free[1:]))

    stopped = (await running.complete(**warm, stop=stop))["choices"]

    assert [choice["finish_reason"] for choice in stopped] == ["stop", "length", "length"]
    assert [choice["text"] for choice in stopped] == [free[0].partition(stop)[0], *free[1:]]
    await running.until_idle()


async def test_a_prompt_seen_before_is_counted_as_cached(running):
    ask = {"prompt": "a long enough prompt " * 4}
    await running.complete(**ask)

    usage = (await running.complete(**ask))["usage"]

    assert 0 < usage["prompt_tokens_details"]["cached_tokens"] < usage["prompt_tokens"]


async def test_settings_reach_the_draw(running):
    token = ord("z") - ord("!")  # in the vocabulary of bytes
    bias = {"logit_bias": {str(token): 20}}
    forced = await running.complete(**bias)
    penalised = await running.complete(
        **bias, presence_penalty=2, repetition_penalty=10, max_tokens=2
    )

    assert forced["choices"][0]["text"] == "z" * 8
    assert penalised["choices"][0]["text"][0] == "z"
    assert penalised["choices"][0]["text"] != "zz"


@pytest.mark.parametrize("seed", range(3))
async def test_an_answer_in_json_parses_and_then_stops(running, seed: int):
    schema = {
        "type": "object",
        "properties": {"a": {"enum": [1, 22]}, "b": {"type": "boolean"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    body = await running.complete(
        temperature=1, seed=seed, max_tokens=240,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )  # fmt: skip

    (choice,) = body["choices"]
    assert choice["finish_reason"] == "stop"
    assert json.loads(choice["text"]).keys() == {"a", "b"}


async def test_a_format_cut_short_says_length(running):
    body = await running.complete(max_tokens=3, structured_outputs={"choice": ["clear sky"]})

    (choice,) = body["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("cle", "length")


async def test_a_picture_for_a_model_that_does_not_see_is_refused(running):
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    ask = {"model": "tiny", "messages": [{"role": "user", "content": [part]}]}

    status, body, _ = await running.post("/v1/chat/completions", ask)

    assert status == 400
    assert "takes no images" in body["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "status", "param", "code"),
    [
        pytest.param({"model": "other"}, 404, "model", "model_not_found", id="model"),
        pytest.param({"prompt": ""}, 400, "prompt", None, id="empty"),
        pytest.param({"prompt": []}, 400, "prompt", None, id="no tokens"),
        pytest.param({"prompt": []}, 400, "prompt", None, id="no prompt"),
        pytest.param({"prompt": [999]}, 400, "prompt", None, id="no such token"),
        pytest.param({"prompt": "x" * 300}, 400, None, "context_length_exceeded", id="long"),
        pytest.param({"max_tokens": 250}, 400, None, "context_length_exceeded", id="long answer"),
        pytest.param({"best_of": 2}, 400, "best_of", "unsupported_parameter", id="best_of"),
        pytest.param({"n": 0}, 400, "n", None, id="n"),
        pytest.param({"logit_bias": {"999": 1}}, 400, "logit_bias", None, id="bias"),
        pytest.param(
            {"structured_outputs": {"regex": "("}}, 400, "structured_outputs", None, id="format"
        ),
    ],
)
async def test_a_request_that_cannot_be_answered_says_why(
    running, fields: dict[str, Any], status: int, param: str | None, code: str | None
):
    for streamed in (False, True):
        got, body, _ = await running.post("/v1/completions", TEXT | fields | {"stream": streamed})

        assert got == status
        assert body["error"]["type"] == "invalid_request_error"
        assert (body["error"]["param"], body["error"]["code"]) == (param, code)


async def test_an_over_long_prompt_names_both_numbers(running):
    _, body, _ = await running.post("/v1/completions", TEXT | {"prompt": "x" * 300})

    assert "256 tokens" in body["error"]["message"]
    assert "309 (301 in the prompt, 8 for the answer)" in body["error"]["message"]


async def test_a_chat_template_may_refuse(running):
    ask = {"model": "tiny", "messages": [{"role": "wizard", "content": "hi"}]}

    status, body, _ = await running.post("/v1/chat/completions", ask)

    assert status == 400
    assert "unknown role wizard" in body["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b'{"model": 5}'])
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
async def test_a_broken_body_is_one_clear_error(running, path: str, body: bytes):
    async with running.http.post(path, data=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["message"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_client_that_leaves_frees_its_blocks(start, streamed):
    async with start(min_iteration_seconds=0.02) as one:
        ask = TEXT | {"max_tokens": 200, "ignore_eos": True, "stream": streamed}
        asking = asyncio.create_task(one.http.post("/v1/completions", json=ask))
        if streamed:
            answer = await asking
            await answer.content.readany()
            answer.close()
        else:
            await one.until_busy()
            asking.cancel()
        await one.until_idle()

        metrics = await one.metrics()
        assert metrics["warmfront_replica_requests_running"] == 0
        assert metrics["warmfront_replica_decode_tokens_total"] < 200


async def test_a_full_replica_says_when_to_come_back(start):
    async with start(slots=1, max_waiting=1, min_iteration_seconds=0.02) as one:
        ask = TEXT | {"max_tokens": 100, "ignore_eos": True}
        busy = [asyncio.create_task(one.post("/v1/completions", ask)) for _ in range(2)]
        await one.until("requests_waiting", lambda waiting: waiting == 1)

        status, body, headers = await one.post("/v1/completions", TEXT)

        assert status == 429
        assert body["error"]["code"] == "queue_full"
        assert int(headers["Retry-After"]) >= 1
        for task in busy:
            task.cancel()
        await one.until_idle()
        await one.complete()


async def test_many_at_once_are_answered_like_one_alone(running):
    prompts = [f"{number} " * (number + 1) for number in range(20)]
    alone = [await running.complete(prompt=prompt) for prompt in prompts]

    together = await asyncio.gather(*(running.complete(prompt=prompt) for prompt in prompts))

    assert [one["choices"] for one in together] == [one["choices"] for one in alone]
    await running.until_idle()
