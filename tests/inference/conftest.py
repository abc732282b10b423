"""A tiny model with random weights, in the format of a real one."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

from inference.models.checkpoint import Weights, load_weights, tensor_shapes
from inference.models.rope_scaling import Llama3Scaling, YarnScaling
from inference.models.spec import ModelSpec, load_spec

BOS, END, IMAGE = "<|bos|>", "<|end|>", "<image>"  # 256 and 257; 258 where there are images
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('unknown role ' + message['role']) }}{% endif %}"
    "{{ message['role'] }}: {{ message['content'] | trim }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)

TINY = ModelSpec(
    vocabulary=264,  # 256 bytes, 2 marks, and some that no text has
    hidden=32,
    layers=2,
    heads=4,
    kv_heads=2,
    head_dim=16,
    feed_forward=48,
    positions=256,
    norm_eps=1e-5,
    rope_theta=10_000.0,
    tied=True,
    stop_tokens=frozenset({257}),
)

# What each family adds to the tiny model; every feature that a graph must know is in one.
_FEATURES: dict[str, dict[str, object]] = {
    "llama": {},
    "llama-untied": {"tied": False, "qkv_bias": True, "output_bias": True, "mlp_bias": True},
    "llama3": {"rope_scaling": Llama3Scaling(8.0, 1.0, 4.0, 64)},
    "yarn": {"rope_scaling": YarnScaling(4.0, 64, 1.1386294361119891)},
    "mistral": {"family": "mistral", "sliding_window": 7},
    "qwen2": {"family": "qwen2", "qkv_bias": True},
    "qwen3": {"family": "qwen3", "qk_norm": True},
    "llava": {"image_token": 258},
}
FAMILIES = tuple(_FEATURES)


def tiny(family: str) -> ModelSpec:
    """The tiny model's shape in a family, or a variant of one, of `FAMILIES`."""
    return dataclasses.replace(TINY, **_FEATURES[family])


def write_checkpoint(folder: Path, spec: ModelSpec = TINY, *, seed: int = 7) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config_of(spec)))
    prefix = "" if spec.image_token is None else "language_model."
    tensors = {prefix + name: array for name, array in random_tensors(spec, seed).items()}
    save_file(tensors, folder / "model.safetensors")
    settings = {"bos_token": BOS, "eos_token": {"content": END}, "chat_template": CHAT_TEMPLATE}
    tokenizer = byte_tokenizer()
    if spec.image_token is not None:
        tokenizer.add_special_tokens([AddedToken(IMAGE, special=True)])
        settings["image_token"] = IMAGE
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def random_tensors(spec: ModelSpec, seed: int) -> dict[str, np.ndarray]:
    """Weights that are large enough for every token of a context to matter."""
    rng = np.random.default_rng(seed)
    return {
        name: _random(rng, name, shape).astype(np.float16)
        for name, shape in tensor_shapes(spec).items()
    }


def _random(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    drawn = rng.standard_normal(shape)
    if name.endswith(".bias"):
        return 0.3 * drawn
    return 1 + 0.1 * drawn if len(shape) == 1 else drawn * 1.5 / np.sqrt(shape[1])


def byte_tokenizer() -> Tokenizer:
    """One token per byte: characters beyond ASCII take several."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.add_special_tokens([AddedToken(BOS, special=True), AddedToken(END, special=True)])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, 256)]
    )
    return tokenizer


def config_of(spec: ModelSpec) -> dict[str, object]:
    """The config.json of a shape, as transformers would write it."""
    config = {
        "model_type": spec.family,
        "vocab_size": spec.vocabulary,
        "hidden_size": spec.hidden,
        "num_hidden_layers": spec.layers,
        "num_attention_heads": spec.heads,
        "num_key_value_heads": spec.kv_heads,
        "head_dim": spec.head_dim,
        "intermediate_size": spec.feed_forward,
        "max_position_embeddings": spec.positions,
        "rms_norm_eps": spec.norm_eps,
        "rope_theta": spec.rope_theta,
        "hidden_act": "silu",
        "tie_word_embeddings": spec.tied,
        "torch_dtype": "float16",
        "bos_token_id": 256,
        "eos_token_id": sorted(spec.stop_tokens),
        "attention_bias": spec.output_bias,
        "mlp_bias": spec.mlp_bias,
        "sliding_window": spec.sliding_window,
    }
    if spec.rope_scaling is not None:
        scaling = {"rope_type": spec.rope_scaling.kind} | dataclasses.asdict(spec.rope_scaling)
        config["rope_scaling"] = scaling
    if spec.image_token is None:
        return config
    return {"model_type": "llava", "text_config": config, "image_token_index": spec.image_token}


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random model; to be read only."""
    return write_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture
def new_checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Writes a model of one's own: `new_checkpoint(layers=1, ...)` changes the tiny one."""

    def write(**changes: object) -> Path:
        return write_checkpoint(tmp_path / "model", dataclasses.replace(TINY, **changes))

    return write


@pytest.fixture(scope="session")
def spec(checkpoint: Path) -> ModelSpec:
    return load_spec(checkpoint)


@pytest.fixture(scope="session")
def weights(checkpoint: Path, spec: ModelSpec) -> Weights:
    return load_weights(checkpoint, spec)
