import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.models.rope_scaling import YarnScaling
from inference.models.spec import ModelError, ModelSpec, load_spec
from tests.inference.conftest import FAMILIES, tiny, write_checkpoint


@pytest.fixture
def changed_config(new_checkpoint: Callable[..., Path]) -> Callable[..., Path]:
    def change(**fields: object) -> Path:
        folder = new_checkpoint()
        config = json.loads((folder / "config.json").read_text()) | fields
        kept = {key: value for key, value in config.items() if value != "absent"}
        (folder / "config.json").write_text(json.dumps(kept))
        return folder

    return change


def test_every_size_comes_from_config(checkpoint: Path):
    spec = load_spec(checkpoint)

    assert (spec.vocabulary, spec.hidden, spec.layers) == (264, 32, 2)
    assert (spec.queries, spec.keys, spec.positions) == (64, 32, 256)
    assert spec.tied
    assert spec.stop_tokens == {257}


def test_absent_sizes_take_hugging_face_defaults(changed_config: Callable[..., Path]):
    folder = changed_config(
        num_key_value_heads="absent", head_dim="absent", tie_word_embeddings="absent"
    )

    spec = load_spec(folder)

    assert (spec.kv_heads, spec.head_dim, spec.tied) == (4, 8, False)


def test_generation_config_adds_stop_tokens(changed_config: Callable[..., Path]):
    folder = changed_config(eos_token_id=3)
    (folder / "generation_config.json").write_text('{"eos_token_id": [3, 9]}')

    assert load_spec(folder).stop_tokens == {3, 9}


def test_a_broken_stop_token_is_named_with_its_file(changed_config: Callable[..., Path]):
    folder = changed_config()
    (folder / "generation_config.json").write_text('{"eos_token_id": "<|end|>"}')

    with pytest.raises(ModelError, match=r"generation_config\.json: expected token numbers"):
        load_spec(folder)


def test_rope_parameters_are_read_from_their_new_place(changed_config: Callable[..., Path]):
    rope = {"rope_type": "default", "rope_theta": 5e5}

    assert load_spec(changed_config(rope_parameters=rope)).rope_theta == 5e5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"hidden_size": "absent"}, "'hidden_size' is missing", id="missing"),
        pytest.param({"hidden_size": "wide"}, "hidden_size must be .* 'wide'", id="not a number"),
        pytest.param({"hidden_size": 0}, "hidden of 1 or more", id="zero"),
        pytest.param({"num_key_value_heads": 3}, "4 heads cannot share 3", id="heads"),
        pytest.param({"head_dim": 7}, "even head_dim", id="odd head"),
        pytest.param(
            {"num_attention_heads": 0, "head_dim": None}, "heads of 1 or more", id="no heads"
        ),
        pytest.param({"max_position_embeddings": 0}, "positions of 1 or more", id="no context"),
        pytest.param({"model_type": "mixtral"}, "model_type 'mixtral'", id="other architecture"),
        pytest.param({"hidden_act": "gelu"}, "hidden_act 'gelu'", id="activation"),
        pytest.param(
            {"quantization_config": {"quant_method": "gptq"}},
            "quantization_config 'gptq'",
            id="quantised by others",
        ),
        pytest.param({"partial_rotary_factor": 0.5}, "partial_rotary_factor", id="half rotated"),
        pytest.param({"rope_scaling": {"type": "longrope"}}, "'longrope'", id="rotary scaling"),
        pytest.param(
            {"rope_scaling": {"rope_type": "yarn"}}, "'factor' is missing", id="scaling factor"
        ),
        pytest.param(
            {"rope_scaling": {"rope_type": "linear", "factor": 0}},
            "factor above 0, got 0",
            id="scaling by nothing",
        ),
        pytest.param(
            {"rope_parameters": {"full_attention": {"rope_type": "default"}}},
            "differ from layer to layer",
            id="scaling by layer",
        ),
        pytest.param(
            {
                "model_type": "qwen2",
                "use_sliding_window": True,
                "sliding_window": 9,
                "max_window_layers": 1,
            },
            "sliding_window in 1 of 2 layers",
            id="window in some layers",
        ),
        pytest.param(
            {"model_type": "mistral", "sliding_window": 0}, "sliding_window of 1", id="no window"
        ),
        pytest.param({"eos_token_id": ["x"]}, "eos_token_id", id="stop tokens"),
        pytest.param(
            {"model_type": "llava", "text_config": {"model_type": "opt"}},
            "model_type 'opt'",
            id="LLaVA on another decoder",
        ),
    ],
)
def test_a_model_that_cannot_be_served_is_named_with_its_file(
    changed_config: Callable[..., Path], fields: dict[str, object], message: str
):
    with pytest.raises(ModelError, match=message) as raised:
        load_spec(changed_config(**fields))

    assert "config.json" in str(raised.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_read_as_it_was_written(tmp_path: Path, family: str):
    assert load_spec(write_checkpoint(tmp_path, tiny(family))) == tiny(family)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"model_type": "llama", "attention_bias": True},
            {"qkv_bias": True, "output_bias": True},
            id="llama: one switch for all of attention",
        ),
        pytest.param(
            {"model_type": "mistral", "attention_bias": True, "sliding_window": 9},
            {"qkv_bias": False, "sliding_window": 9},
            id="mistral: never a bias",
        ),
        pytest.param(
            {"model_type": "mistral", "sliding_window": "absent",
             "max_position_embeddings": 9000},
            {"sliding_window": 4096},
            id="mistral: a window unless it is null",
        ),
        pytest.param(
            {"model_type": "mistral", "sliding_window": 256},
            {"sliding_window": None},
            id="a window as wide as the context hides nothing",
        ),
        pytest.param(
            {"model_type": "qwen2", "sliding_window": 9},
            {"qkv_bias": True, "output_bias": False, "sliding_window": None},
            id="qwen2: always biases, a window only if used",
        ),
        pytest.param(
            {"model_type": "qwen2", "sliding_window": 9, "use_sliding_window": True},
            {"sliding_window": None},
            id="qwen2: the window begins above max_window_layers",
        ),
        pytest.param(
            {"model_type": "qwen2", "sliding_window": 9, "use_sliding_window": True,
             "layer_types": ["sliding_attention"] * 2},
            {"sliding_window": 9},
            id="qwen2: a window in all layers",
        ),
        pytest.param(
            {"model_type": "qwen3", "head_dim": "absent"},
            {"head_dim": 128, "qk_norm": True, "qkv_bias": False},
            id="qwen3: wide heads, normalised",
        ),
    ],
)  # fmt: skip
def test_a_family_fills_in_what_config_leaves_unsaid(
    changed_config: Callable[..., Path], fields: dict[str, object], expected: dict[str, object]
):
    spec = load_spec(changed_config(**fields))

    assert {name: getattr(spec, name) for name in expected} == expected


def test_llava_writes_only_what_its_decoder_has_apart(tmp_path: Path):
    text = {"vocab_size": 32_064, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5}
    config = {"model_type": "llava", "text_config": text, "image_token_index": 32_000}
    (tmp_path / "config.json").write_text(json.dumps(config))

    spec = load_spec(tmp_path)

    assert (spec.family, spec.image_token, spec.vocabulary) == ("llama", 32_000, 32_064)
    assert (spec.hidden, spec.feed_forward, spec.layers, spec.heads) == (4096, 11_008, 32, 32)
    assert (spec.stop_tokens, spec.tied, spec.rope_theta) == ({2}, False, 10_000.0)


@pytest.mark.parametrize("place", ["rope_scaling", "rope_parameters"])
def test_rotary_scaling_is_read_from_either_place(changed_config: Callable[..., Path], place: str):
    yarn = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}

    scaling = load_spec(changed_config(**{place: yarn})).rope_scaling

    assert scaling == YarnScaling(4.0, 64, attention_factor=1 + 0.1 * math.log(4))


def test_dynamic_scaling_is_none_within_the_stated_context(changed_config: Callable[..., Path]):
    dynamic = {"rope_type": "dynamic", "factor": 4.0}

    assert load_spec(changed_config(rope_scaling=dynamic)).rope_scaling is None


@pytest.mark.parametrize("text", ["", "[]", '{"vocab', "\ufeff"])
def test_a_broken_config_is_named(new_checkpoint: Callable[..., Path], text: str):
    folder = new_checkpoint()
    (folder / "config.json").write_text(text)

    with pytest.raises(ModelError, match=r"config\.json"):
        load_spec(folder)


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(ModelError, match="no such file"):
        load_spec(tmp_path / "nothing")


def test_a_spec_is_a_value(spec: ModelSpec, checkpoint: Path):
    assert load_spec(checkpoint) == spec
    assert hash(tiny("yarn")) == hash(tiny("yarn"))
