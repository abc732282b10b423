import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors import safe_open
from tokenizers import Tokenizer

from inference.models.bundled.scaling_sentences import EXAMPLE, grade

if TYPE_CHECKING:
    from .conftest import Llama

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Hello "},
    {"role": "assistant", "content": "Good day."},
    {"role": "user", "content": "Bye"},
]


def layer_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    return {
        "input_layernorm.weight": (hidden,),
        "self_attn.q_proj.weight": (queries, hidden),
        "self_attn.k_proj.weight": (keys, hidden),
        "self_attn.v_proj.weight": (keys, hidden),
        "self_attn.o_proj.weight": (hidden, queries),
        "post_attention_layernorm.weight": (hidden,),
        "mlp.gate_proj.weight": (inner, hidden),
        "mlp.up_proj.weight": (inner, hidden),
        "mlp.down_proj.weight": (hidden, inner),
    }


def expected_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    shapes = {
        f"model.layers.{layer}.{name}": shape
        for layer in range(config["num_hidden_layers"])
        for name, shape in layer_shapes(config).items()
    }
    shapes["model.embed_tokens.weight"] = (config["vocab_size"], config["hidden_size"])
    return shapes | {"model.norm.weight": (config["hidden_size"],)}


def test_tensors_have_the_shapes_that_the_configuration_says(folder: Path, config: dict) -> None:
    with safe_open(folder / "model.safetensors", "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    assert expected_shapes(config) == {name: tensor.shape for name, tensor in tensors.items()}
    assert {np.dtype(np.float16)} == {tensor.dtype for tensor in tensors.values()}
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())


def test_the_weights_are_small(folder: Path) -> None:
    assert (folder / "model.safetensors").stat().st_size <= 8_000_000


def test_the_architecture_is_a_llama_with_shared_key_value_heads(config: dict) -> None:
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["tie_word_embeddings"]
    assert config["num_key_value_heads"] < config["num_attention_heads"]


def test_marks_have_the_ids_that_the_configuration_says(
    folder: Path, config: dict, tokenizer: Tokenizer
) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    for mark in ("bos", "eos", "pad"):
        assert config[f"{mark}_token_id"] == tokenizer.token_to_id(settings[f"{mark}_token"])
    assert config["vocab_size"] == tokenizer.get_vocab_size()


@pytest.mark.parametrize(
    "text",
    [
        EXAMPLE.prompt,
        EXAMPLE.sentence,
        " two  spaces\n\nand lines\t",
        "naïve café, 東京, 🔥",
        "def f(x): return x**2",
        "",
    ],
)
def test_text_survives_the_tokenizer(tokenizer: Tokenizer, text: str) -> None:
    assert text == tokenizer.decode(tokenizer.encode(text).ids)


def test_every_digit_is_a_token(tokenizer: Tokenizer) -> None:
    assert list("1234567890") == tokenizer.encode("1234567890", add_special_tokens=False).tokens


def test_text_starts_with_the_mark_of_a_beginning(tokenizer: Tokenizer, config: dict) -> None:
    assert config["bos_token_id"] == tokenizer.encode("Hello").ids[0]


@pytest.mark.parametrize("asks", [True, False])
def test_chat_template(folder: Path, asks: bool) -> None:  # noqa: FBT001
    jinja2 = pytest.importorskip("jinja2")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    template = jinja2.Template(settings["chat_template"])
    marks = {"bos_token": settings["bos_token"]}
    text = template.render(messages=CHAT, add_generation_prompt=asks, **marks)

    ends = "<|assistant|>" if asks else ""
    assert (
        "<|bos|><|user|>Hello<|end|><|assistant|>Good day.<|end|><|user|>Bye<|end|>" + ends == text
    )


def ask(llama: "Llama", tokenizer: Tokenizer, question: str) -> str:
    text = f"<|bos|><|user|>{question}<|end|><|assistant|>"
    prompt = tokenizer.encode(text, add_special_tokens=False).ids
    return tokenizer.decode(llama.greedy(prompt))


def test_it_explains_the_example(llama: "Llama", tokenizer: Tokenizer) -> None:
    assert grade(EXAMPLE.prompt, ask(llama, tokenizer, EXAMPLE.prompt))


@pytest.mark.parametrize("question", ["Hello", "What is Warmfront?", "What is a cold start?"])
def test_it_ends_its_answers(llama: "Llama", tokenizer: Tokenizer, question: str) -> None:
    answer = ask(llama, tokenizer, question)

    assert re.fullmatch(r"[A-Z].*[.!?]", answer)


def test_the_model_card_shows_answers_that_the_model_gives(
    folder: Path, llama: "Llama", tokenizer: Tokenizer
) -> None:
    card = (folder / "README.md").read_text()
    shown = re.findall(r"^> (.+)\n\n(.+)$", card, re.MULTILINE)

    assert len(shown) >= 3
    assert shown == [(question, ask(llama, tokenizer, question)) for question, _ in shown]
