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
from inference.models.spec import ModelSpec, load_spec

BOS, END = "<|bos|>", "<|end|>"
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


def write_checkpoint(folder: Path, spec: ModelSpec = TINY, *, seed: int = 7) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(_config(spec)))
    save_file(random_tensors(spec, seed), folder / "model.safetensors")
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    settings = {"bos_token": BOS, "eos_token": {"content": END}, "chat_template": CHAT_TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def random_tensors(spec: ModelSpec, seed: int) -> dict[str, np.ndarray]:
    """Weights that are large enough for every token of a context to matter."""
    rng = np.random.default_rng(seed)
    return {
        name: (
            1 + 0.1 * rng.standard_normal(shape)
            if len(shape) == 1
            else rng.standard_normal(shape) * 1.5 / np.sqrt(shape[1])
        ).astype(np.float16)
        for name, shape in tensor_shapes(spec).items()
    }


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


def _config(spec: ModelSpec) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
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
    }


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
