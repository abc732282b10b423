import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from tokenizers import Tokenizer

from inference.models.bundled import digits, vocabulary
from inference.models.bundled.scaling_sentences import EXAMPLE, grade

if TYPE_CHECKING:
    from .conftest import Llava

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Hello "},
    {"role": "assistant", "content": "Good day."},
    {"role": "user", "content": "Bye"},
]
PICTURE, TEXT = {"type": "image"}, {"type": "text", "text": " Which digit is this? "}
SHOWN = re.compile(
    r"^> (?:!\[.*?\]\((?P<picture>.+?)\) )?(?P<question>.+)\n\n(?P<answer>.+)$", re.MULTILINE
)


def decoder_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    layer = {
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
    ends = {"embed_tokens.weight": (config["vocab_size"], hidden), "norm.weight": (hidden,)}
    return ends | repeated(layer, config["num_hidden_layers"])


def eye_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    hidden, inner, size = (
        config[name] for name in ("hidden_size", "intermediate_size", "patch_size")
    )
    patches = (config["image_size"] // size) ** 2
    layer = {}
    for norm in ("layer_norm1", "layer_norm2"):
        layer |= {f"{norm}.weight": (hidden,), f"{norm}.bias": (hidden,)}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        layer |= affine(f"self_attn.{name}", hidden, hidden)
    layer |= affine("mlp.fc1", inner, hidden) | affine("mlp.fc2", hidden, inner)
    ends = {
        "embeddings.patch_embedding.weight": (hidden, config["num_channels"], size, size),
        "embeddings.patch_embedding.bias": (hidden,),
        "embeddings.position_embedding.weight": (patches, hidden),
    }
    return ends | prefixed("encoder.", repeated(layer, config["num_hidden_layers"]))


def expected_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    text, vision = config["text_config"], config["vision_config"]
    projector = affine("linear_1", text["hidden_size"], vision["hidden_size"])
    projector |= affine("linear_2", text["hidden_size"], text["hidden_size"])
    return {
        **prefixed("language_model.model.", decoder_shapes(text)),
        **prefixed("vision_tower.vision_model.", eye_shapes(vision)),
        **prefixed("multi_modal_projector.", projector),
    }


def affine(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def prefixed(prefix: str, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {prefix + name: shape for name, shape in shapes.items()}


def repeated(shapes: dict[str, tuple[int, ...]], layers: int) -> dict[str, tuple[int, ...]]:
    return {
        name: shape
        for layer in range(layers)
        for name, shape in prefixed(f"layers.{layer}.", shapes).items()
    }


def test_tensors_have_the_shapes_that_the_configuration_says(folder: Path, config: dict) -> None:
    with safe_open(folder / "model.safetensors", "np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    assert expected_shapes(config) == {name: tensor.shape for name, tensor in tensors.items()}
    assert {np.dtype(np.float16)} == {tensor.dtype for tensor in tensors.values()}
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())


def test_the_folder_is_small(folder: Path) -> None:
    files = [path for path in folder.iterdir() if path.is_file()]

    assert sum(path.stat().st_size for path in files) <= 8_000_000


def test_the_decoder_is_a_llama_with_shared_key_value_heads(config: dict) -> None:
    text = config["text_config"]

    assert text["model_type"] == "llama"
    assert text["tie_word_embeddings"]
    assert text["num_key_value_heads"] < text["num_attention_heads"]


def test_an_image_has_one_token_for_each_patch(config: dict, tokenizer: Tokenizer) -> None:
    vision = config["vision_config"]
    patches = (vision["image_size"] // vision["patch_size"]) ** 2

    assert config["image_seq_length"] == patches == vocabulary.IMAGE_TOKENS
    assert config["image_token_index"] == tokenizer.token_to_id("<|image|>")


def test_pictures_are_prepared_as_in_training(folder: Path) -> None:
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    size = (settings["size"]["width"], settings["size"]["height"])
    image = Image.effect_noise((50, 40), 60)
    small = image.convert(settings["image_mode"]).resize(size, settings["resample"])
    scaled = np.asarray(small, np.float32) * settings["rescale_factor"]
    expected = (scaled - settings["image_mean"]) / settings["image_std"]

    np.testing.assert_allclose(expected[None], digits.pixels(image), atol=1e-6)


@pytest.mark.parametrize("numbers", ["as_shipped", "in_int8"])
def test_the_scores_pass_their_bars(folder: Path, numbers: str) -> None:
    scores = json.loads((folder / "scores.json").read_text())[numbers]

    assert scores["sentences"] == 500
    assert scores["sentences_exact"] >= 0.95
    assert scores["digits"] == digits.HELD_OUT == 360
    assert scores["digits_exact_white_on_black"] >= 0.95
    assert scores["digits_exact_black_on_white"] >= 0.95
    assert scores["bits_per_byte"] < 1.65


def test_marks_have_the_ids_that_the_configuration_says(
    folder: Path, config: dict, tokenizer: Tokenizer
) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    for mark in ("bos", "eos", "pad"):
        expected = tokenizer.token_to_id(settings[f"{mark}_token"])
        assert expected == config[f"{mark}_token_id"] == config["text_config"][f"{mark}_token_id"]
    assert config["text_config"]["vocab_size"] == tokenizer.get_vocab_size()


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


def render(folder: Path, messages: list[dict], *, asks: bool) -> str:
    jinja2 = pytest.importorskip("jinja2", reason="chat templates are written in Jinja")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    template = jinja2.Template(settings["chat_template"])
    rendered = template.render(
        messages=messages, add_generation_prompt=asks, bos_token=settings["bos_token"]
    )
    return str(rendered)


@pytest.mark.parametrize("asks", [True, False])
def test_chat_template(folder: Path, asks: bool) -> None:  # noqa: FBT001
    ends = "<|assistant|>" if asks else ""
    assert (
        "<|bos|><|user|>Hello<|end|><|assistant|>Good day.<|end|><|user|>Bye<|end|>" + ends
        == render(folder, CHAT, asks=asks)
    )


@pytest.mark.parametrize(
    ("parts", "turn"),
    [
        pytest.param([PICTURE, TEXT], "<|image|>Which digit is this?", id="picture first"),
        pytest.param([TEXT, PICTURE], "Which digit is this?<|image|>", id="text first"),
        pytest.param([PICTURE], "<|image|>", id="picture alone"),
        pytest.param([TEXT], "Which digit is this?", id="text alone"),
        pytest.param([PICTURE, PICTURE], "<|image|><|image|>", id="two pictures"),
    ],
)
def test_chat_template_places_pictures(folder: Path, parts: list[dict], turn: str) -> None:
    text = render(folder, [{"role": "user", "content": parts}], asks=True)

    assert f"<|bos|><|user|>{turn}<|end|><|assistant|>" == text


def test_a_question_has_the_tokens_of_the_template(folder: Path, tokenizer: Tokenizer) -> None:
    text = render(folder, [{"role": "user", "content": [PICTURE, TEXT]}], asks=True)
    expanded = text.replace("<|image|>", "<|image|>" * vocabulary.IMAGE_TOKENS)
    expected = tokenizer.encode(expanded, add_special_tokens=False).ids
    question = vocabulary.question_ids(tokenizer, "<|image|>Which digit is this?")

    assert expected == [vocabulary.BOS_ID, *question]


def ask(llava: "Llava", tokenizer: Tokenizer, question: str, *images: Image.Image) -> str:
    asked = vocabulary.IMAGE * len(images) + question
    prompt = [vocabulary.BOS_ID, *vocabulary.question_ids(tokenizer, asked)]
    return tokenizer.decode(llava.greedy(prompt, *(digits.pixels(image) for image in images)))


def test_it_explains_the_example(llava: "Llava", tokenizer: Tokenizer) -> None:
    assert grade(EXAMPLE.prompt, ask(llava, tokenizer, EXAMPLE.prompt))


@pytest.mark.parametrize("question", ["Hello", "What is Warmfront?", "What is a cold start?"])
def test_it_ends_its_answers(llava: "Llava", tokenizer: Tokenizer, question: str) -> None:
    answer = ask(llava, tokenizer, question)

    assert re.fullmatch(r"[A-Z].*[.!?]", answer)


def test_the_model_card_shows_answers_that_the_model_gives(
    folder: Path, llava: "Llava", tokenizer: Tokenizer
) -> None:
    shown = list(SHOWN.finditer((folder / "README.md").read_text()))

    assert len(shown) >= 4
    for match in shown:
        images = [Image.open(folder / name) for name in [match["picture"]] if name]
        assert match["answer"] == ask(llava, tokenizer, match["question"], *images)
