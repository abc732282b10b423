"""Every family answers as transformers does on the same random weights."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.models.checkpoint import load_weights
from inference.models.precision import Precision
from inference.models.reference import reference_logits
from inference.models.spec import ModelSpec, load_spec
from inference.models.tokenizer import load_tokenizer
from inference.models.verify import Severity, verify
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.runtime import Batch, RuntimeSettings
from tests.inference.conftest import BOS, CHAT_TEMPLATE, END, byte_tokenizer

torch = pytest.importorskip("torch", reason="equality with transformers needs torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own imports warn, about what is none of ours
    transformers = pytest.importorskip("transformers", reason="needs transformers to agree with")

PROMPT = [int(one) for one in np.random.default_rng(3).integers(0, 200, 24)]
ANSWER = 32
TOLERANCE = 1e-4
SIZES = {
    "vocab_size": 264,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.25,
    "bos_token_id": 256,
    "eos_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32,
}
BIASES = {"attention_bias": True, "mlp_bias": True}
CASES = {
    "llama": {"model_type": "llama"},
    "llama tied": {"model_type": "llama", "tie_word_embeddings": True},
    "llama with biases": {"model_type": "llama", **BIASES},
    "llama3 scaling": {"model_type": "llama", "rope_parameters": LLAMA3},
    "yarn": {"model_type": "llama", "rope_parameters": YARN},
    "yarn untruncated": {
        "model_type": "qwen2",
        "rope_parameters": {**YARN, "truncate": False, "mscale": 1.0, "mscale_all_dim": 0.7},
    },
    "linear scaling": {
        "model_type": "llama",
        "rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 3.0},
    },
    "dynamic scaling": {
        "model_type": "llama",
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 3.0},
    },
    "mistral": {"model_type": "mistral", "sliding_window": 9, "head_dim": 16},
    "mistral without window": {"model_type": "mistral", "sliding_window": None},
    "qwen2": {"model_type": "qwen2", "tie_word_embeddings": True},
    "qwen2 with window": {
        "model_type": "qwen2",
        "use_sliding_window": True,
        "sliding_window": 9,
        "max_window_layers": 0,
    },
    "qwen3": {"model_type": "qwen3", "head_dim": 16},
    "qwen3 with biases": {"model_type": "qwen3", "head_dim": 16, "attention_bias": True},
    "llava": {"model_type": "llava", "text": "llama"},
    "llava on qwen2": {"model_type": "llava", "text": "qwen2"},
}
VISION = {
    "model_type": "clip_vision_model",
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}


@dataclass(frozen=True, slots=True)
class Taught:
    """A random model as transformers saved it, and what transformers says with it."""

    folder: Path
    spec: ModelSpec
    tokens: list[int]  # the prompt and the greedy answer
    logits: np.ndarray  # [tokens, vocabulary]


@pytest.fixture(scope="module", params=CASES)
def taught(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Taught:
    folder = tmp_path_factory.mktemp("model")
    model = random_model(CASES[request.param])
    model.save_pretrained(folder)
    with torch.inference_mode():
        prompt = torch.tensor([PROMPT])
        mask = torch.ones_like(prompt)
        tokens = model.generate(
            prompt, attention_mask=mask, do_sample=False, max_new_tokens=ANSWER, pad_token_id=0
        )
        logits = model(tokens).logits[0].numpy()
    return Taught(folder, load_spec(folder), tokens[0].tolist(), logits)


def random_model(case: dict[str, Any]) -> Any:
    torch.set_num_threads(1)  # quicker for so small a model
    torch.manual_seed(11)
    config = transformers.AutoConfig.for_model(**settings(case))
    kind = transformers.AutoModelForCausalLM
    if case["model_type"] == "llava":
        kind = transformers.AutoModelForImageTextToText
    model = kind.from_config(config).eval()
    with torch.no_grad():  # biases begin as zeros and norms as ones: make them matter
        for tensor in model.parameters():
            if tensor.ndim == 1:
                tensor.add_(torch.randn_like(tensor), alpha=0.3)
    return model


def settings(case: dict[str, Any]) -> dict[str, Any]:
    if case["model_type"] != "llava":
        return {**SIZES, **case}
    text = {**SIZES, "model_type": case["text"]}
    return {"model_type": "llava", "text_config": text, "vision_config": VISION,
            "image_token_index": 257}  # fmt: skip


def test_the_reference_agrees(taught: Taught):
    logits = reference_logits(taught.spec, load_weights(taught.folder, taught.spec), taught.tokens)

    assert len(taught.tokens) == len(PROMPT) + ANSWER
    np.testing.assert_allclose(logits, taught.logits, rtol=0, atol=TOLERANCE)
    greedy = logits[len(PROMPT) - 1 : -1].argmax(-1).tolist()
    assert greedy == taught.tokens[len(PROMPT) :]


def test_the_graph_agrees_in_prefill_and_decode(taught: Taught):
    steps = list(generate(taught))

    np.testing.assert_allclose(
        np.array(steps), taught.logits[len(PROMPT) - 1 : -1], rtol=0, atol=TOLERANCE
    )
    assert [int(one.argmax()) for one in steps] == taught.tokens[len(PROMPT) :]


def generate(taught: Taught) -> Iterator[np.ndarray]:
    """Yield the logits of a prefill and of greedy decoding by ONNX Runtime."""
    runtime = OnnxRuntime(RuntimeSettings(precision=Precision.FP32, block_size=8))
    runtime.load(taught.spec, load_weights(taught.folder, taught.spec))
    runtime.allocate_kv(17)
    new, position = list(PROMPT), 0
    for _ in range(ANSWER):
        yield runtime.step(row(new, position, runtime.block_size))[0].copy()
        position += len(new)
        new = [taught.tokens[position]]


def row(tokens: list[int], position: int, block_size: int) -> Batch:
    """One sequence's next tokens; its blocks lie in reverse in the pool."""
    positions = np.arange(position, position + len(tokens))
    table = np.arange(16, 0, -1)
    slots = table[positions // block_size] * block_size + positions % block_size
    last = np.array([len(tokens) - 1])
    return Batch(np.array([tokens]), positions[None], slots[None], table[None], last)


def test_what_transformers_saved_is_found_sound(taught: Taught):
    byte_tokenizer().save(str(taught.folder / "tokenizer.json"))
    transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    ).save_pretrained(taught.folder)

    findings = verify(taught.folder)

    assert [one for one in findings if one.severity is Severity.ERROR] == []


def test_half_precision_in_shards_is_read_exactly(tmp_path: Path):
    model = random_model(CASES["qwen2"]).to(torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size="100KB")

    weights = load_weights(tmp_path, load_spec(tmp_path))

    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    for name, tensor in model.named_parameters():
        np.testing.assert_array_equal(weights[name], tensor.detach().float().numpy())


@pytest.fixture
def saved_tokenizer(tmp_path: Path) -> Any:
    """A tokenizer as transformers saves it, in a folder of its own."""
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(), bos_token=BOS, eos_token=END, unk_token=None
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(tmp_path)
    return tokenizer


def test_a_saved_tokenizer_gives_the_same_tokens(saved_tokenizer: Any, tmp_path: Path):
    ours = load_tokenizer(tmp_path)
    messages = [{"role": "system", "content": "be short"}, {"role": "user", "content": "hé €"}]

    assert ours.size == len(saved_tokenizer)
    assert ours.encode("hé €<|end|>") == saved_tokenizer("hé €<|end|>")["input_ids"]
    assert (
        ours.encode_chat(messages)
        == saved_tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    )
