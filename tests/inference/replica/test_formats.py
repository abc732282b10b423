from dataclasses import replace

from inference.answers import Answer, Usage
from inference.engine.sequence import FinishReason, Timings
from inference.replica.answer import Likely, Piece
from inference.replica.formats import ChatFormat, Head, TextFormat

HEAD = Head("7", "tiny", 1_700_000_000)
USAGE = Usage(prompt_tokens=2, completion_tokens=3, total_tokens=5)
SPELT = {1: b"W", 2: b"\xc3", 3: b"\xa4", 4: b"rm"}
PIECES = [
    Piece(0, "W", 1, Timings(0, 0, 0), likely=(Likely(1, -0.5, ((1, -0.5), (4, -1.5))),)),
    Piece(
        0, "\u00e4", 3, Timings(0, 0, 0), FinishReason.STOP,
        likely=(Likely(2, -1.0, ((2, -1.0), (3, -2.0))), Likely(3, 0.0, ((3, 0.0), (1, -9.0)))),
    ),
]  # fmt: skip


def fields(answer: Answer) -> dict:
    return answer.model_dump(mode="json")


def test_a_whole_chat_has_a_message_for_each_choice():
    other = [replace(piece, choice=1) for piece in PIECES]
    body = fields(ChatFormat(HEAD, None).whole([PIECES, other], USAGE))

    assert (body["id"], body["object"], body["model"]) == ("chatcmpl-7", "chat.completion", "tiny")
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert body["choices"][1] == {
        "index": 1,
        "message": {"role": "assistant", "content": "W\u00e4", "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }


def test_a_chats_log_probabilities_are_objects_with_bytes():
    body = fields(ChatFormat(HEAD, SPELT.__getitem__).whole([PIECES], USAGE))

    content = body["choices"][0]["logprobs"]["content"]
    assert [one["token"] for one in content] == ["W", "bytes:\\xc3", "bytes:\\xa4"]
    assert bytes(byte for one in content for byte in one["bytes"]).decode() == "W\u00e4"
    assert content[0]["top_logprobs"][1] == {"token": "rm", "logprob": -1.5, "bytes": [114, 109]}


def test_a_texts_log_probabilities_are_parallel_lists():
    body = fields(TextFormat(HEAD, SPELT.__getitem__).whole([PIECES[:1]], USAGE))

    assert body["choices"][0]["logprobs"] == {
        "tokens": ["W"],
        "token_logprobs": [-0.5],
        "top_logprobs": [{"W": -0.5, "rm": -1.5}],
        "text_offset": [0],
    }


def test_the_offsets_of_a_streamed_text_go_on_from_event_to_event():
    shape = TextFormat(HEAD, SPELT.__getitem__)
    pieces = [replace(PIECES[0], choice=choice) for choice in (0, 1, 0)]

    events = [fields(shape.piece(piece))["choices"][0] for piece in pieces]

    assert [event["index"] for event in events] == [0, 1, 0]
    assert [event["logprobs"]["text_offset"] for event in events] == [[0], [0], [1]]


def test_a_streamed_chat_opens_each_choice_with_its_role():
    shape = ChatFormat(HEAD, None)

    (opening,) = fields(shape.opening(2))["choices"]
    (last,) = fields(shape.piece(replace(PIECES[1], choice=2, text="")))["choices"]

    assert (opening["index"], opening["delta"]) == (2, {"role": "assistant", "content": ""})
    assert (last["index"], last["delta"], last["finish_reason"]) == (2, {}, "stop")
