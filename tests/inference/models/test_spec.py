import json
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.models.spec import ModelError, ModelSpec, load_spec


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


def test_rope_parameters_are_read_from_their_new_place(changed_config: Callable[..., Path]):
    rope = {"rope_type": "default", "rope_theta": 5e5}

    assert load_spec(changed_config(rope_parameters=rope)).rope_theta == 5e5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"hidden_size": "absent"}, "'hidden_size' is missing", id="missing"),
        pytest.param({"hidden_size": "wide"}, "wide", id="not a number"),
        pytest.param({"hidden_size": 0}, "hidden of 1 or more", id="zero"),
        pytest.param({"num_key_value_heads": 3}, "4 heads cannot share 3", id="heads"),
        pytest.param({"head_dim": 7}, "even head_dim", id="odd head"),
        pytest.param({"model_type": "mamba"}, "model_type 'mamba'", id="other architecture"),
        pytest.param({"attention_bias": True}, "attention_bias True", id="bias"),
        pytest.param({"rope_scaling": {"rope_type": "yarn"}}, "'yarn'", id="rotary scaling"),
        pytest.param({"eos_token_id": ["x"]}, "eos_token_id", id="stop tokens"),
    ],
)
def test_a_model_that_cannot_be_served_is_named_with_its_file(
    changed_config: Callable[..., Path], fields: dict[str, object], message: str
):
    with pytest.raises(ModelError, match=message) as raised:
        load_spec(changed_config(**fields))

    assert "config.json" in str(raised.value)


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
