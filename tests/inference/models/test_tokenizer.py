import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.models.spec import ModelError
from inference.models.tokenizer import (
    ChatTemplateError,
    StreamDecoder,
    Tokenizer,
    load_tokenizer,
    special_tokens,
)
from tests.inference.conftest import byte_tokenizer


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> Tokenizer:
    return load_tokenizer(checkpoint)


def stream(tokenizer: Tokenizer, tokens: list[int]) -> list[str]:
    decoder = StreamDecoder(tokenizer)
    return [*(decoder.push(token) for token in tokens), decoder.finish()]


def test_a_plain_text_begins_as_the_model_was_trained(tokenizer: Tokenizer):
    tokens = tokenizer.encode("hé")

    assert tokens[0] == 256
    assert len(tokens) == 4
    assert tokenizer.decode(tokens) == "hé"


def test_a_conversation_is_rendered_by_the_models_template(tokenizer: Tokenizer):
    messages = [{"role": "user", "content": " hi "}]

    assert tokenizer.render_chat(messages) == "<|bos|>user: hi<|end|>assistant: "
    assert tokenizer.encode_chat(messages)[0] == 256
    assert tokenizer.encode_chat(messages).count(256) == 1


def test_a_conversation_may_come_in_parts(tokenizer: Tokenizer):
    parts = [{"type": "text", "text": "hi "}, {"type": "text", "text": "there"}]

    whole = tokenizer.encode_chat([{"role": "user", "content": "hi there"}])
    assert tokenizer.encode_chat([{"role": "user", "content": parts}]) == whole


def test_a_template_may_refuse_a_conversation(tokenizer: Tokenizer):
    with pytest.raises(ChatTemplateError, match="unknown role wizard"):
        tokenizer.encode_chat([{"role": "wizard", "content": "hi"}])


def test_a_template_cannot_reach_python(new_checkpoint: Callable[..., Path]):
    folder = new_checkpoint()
    attack = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": attack}))

    with pytest.raises(ChatTemplateError, match="unsafe"):
        load_tokenizer(folder).render_chat([])


def test_a_model_without_a_template_says_so(new_checkpoint: Callable[..., Path]):
    folder = new_checkpoint()
    (folder / "tokenizer_config.json").unlink()

    with pytest.raises(ChatTemplateError, match="/v1/completions"):
        load_tokenizer(folder).encode_chat([{"role": "user", "content": "hi"}])


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"chat_template": "one"}, id="string"),
        pytest.param(
            {"chat_template": [{"name": "tool", "template": "no"},
                               {"name": "default", "template": "one"}]},
            id="named ones",
        ),
    ],
)  # fmt: skip
def test_a_template_is_found(new_checkpoint: Callable[..., Path], settings: dict[str, object]):
    folder = new_checkpoint()
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))

    assert load_tokenizer(folder).render_chat([]) == "one"


def test_a_template_file_comes_first(new_checkpoint: Callable[..., Path]):
    folder = new_checkpoint()
    (folder / "chat_template.jinja").write_text("{{ eos_token }}")

    assert load_tokenizer(folder).render_chat([]) == "<|end|>"


def test_the_template_of_a_processor_is_found(new_checkpoint: Callable[..., Path]):
    folder = new_checkpoint()
    (folder / "tokenizer_config.json").unlink()
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "{{ image_token }}"}))
    (folder / "processor_config.json").write_text(json.dumps({"image_token": "<image>"}))

    assert load_tokenizer(folder).render_chat([]) == "<image>"


def test_special_tokens_are_found_wherever_they_are_written(new_checkpoint: Callable[..., Path]):
    folder = new_checkpoint()
    older = {"eos_token": "</s>", "unk_token": {"content": "<unk>"}, "extra": ["<a>"]}
    (folder / "special_tokens_map.json").write_text(json.dumps(older))

    marks = special_tokens(folder)

    assert marks == {"bos_token": "<|bos|>", "eos_token": "<|end|>", "unk_token": "<unk>"}


def test_a_token_is_known_by_number_and_by_text(tokenizer: Tokenizer):
    assert tokenizer.token_id("<|end|>") == 257
    assert tokenizer.text_of(257) == "<|end|>"
    assert tokenizer.token_id("<image>") is None
    assert tokenizer.text_of(300) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("tokenizer.json", "{}", id="tokenizer"),
        pytest.param("tokenizer_config.json", "{", id="settings"),
        pytest.param("tokenizer_config.json", '{"chat_template": "{% if %}"}', id="template"),
        pytest.param("chat_template.jinja", "{% if %}", id="template file"),
        pytest.param("tokenizer_config.json", '{"chat_template": [{}]}', id="nameless template"),
    ],
)
def test_a_broken_file_is_named(new_checkpoint: Callable[..., Path], name: str, text: str):
    folder = new_checkpoint()
    (folder / name).write_text(text)

    with pytest.raises(ModelError, match=name):
        load_tokenizer(folder)


@given(text=st.text())
def test_streamed_text_holds_whole_characters_only(tokenizer: Tokenizer, text: str):
    pieces = stream(tokenizer, tokenizer.encode(text))

    assert "".join(pieces) == text
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text


@given(tokens=st.lists(st.integers(0, 263), max_size=60))
def test_any_tokens_stream_to_what_they_decode_to_at_once(tokenizer: Tokenizer, tokens: list[int]):
    assert "".join(stream(tokenizer, tokens)) == tokenizer.decode(tokens)


def test_a_character_comes_with_its_last_byte(tokenizer: Tokenizer):
    assert stream(tokenizer, tokenizer.encode("a€")) == ["", "a", "", "", "€", ""]


def test_endless_marks_without_text_do_not_make_decoding_slower(tokenizer: Tokenizer):
    class Counted(Tokenizer):
        longest = 0

        def decode(self, tokens: Sequence[int]) -> str:
            self.longest = max(self.longest, len(tokens))
            return tokenizer.decode(tokens)

    counted = Counted(byte_tokenizer())
    pieces = stream(counted, [*tokenizer.encode("a")[1:], *[257] * 500, *tokenizer.encode("b")])

    assert "".join(pieces) == "ab"
    assert counted.longest < 100


def test_endless_garbage_is_not_held_back_for_ever(tokenizer: Tokenizer):
    half_a_character = tokenizer.encode("é")[1]

    assert any(stream(tokenizer, [half_a_character] * 200)[:-1])
