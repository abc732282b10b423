import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from inference.models.checkpoint import load_weights, tensor_shapes
from inference.models.spec import ModelError, load_spec


@pytest.fixture
def changed(new_checkpoint: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a model some of whose tensors are replaced, or left out where None."""

    def change(tensors: dict[str, np.ndarray | None]) -> Path:
        folder = new_checkpoint()
        merged = load_file(folder / "model.safetensors") | tensors
        kept = {name: array for name, array in merged.items() if array is not None}
        save_file(kept, folder / "model.safetensors")
        return folder

    return change


def load(folder: Path):
    return load_weights(folder, load_spec(folder))


def test_half_precision_becomes_single(checkpoint: Path):
    weights = load(checkpoint)

    stored = load_file(checkpoint / "model.safetensors")
    assert weights.keys() == stored.keys()
    for name, array in weights.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, stored[name].astype(np.float32))


def test_an_untied_model_has_a_head_of_its_own(new_checkpoint: Callable[..., Path]):
    assert "lm_head.weight" in load(new_checkpoint(tied=False))


def test_sharded_weights_are_read_together(new_checkpoint: Callable[..., Path]):
    folder = new_checkpoint()
    tensors = load_file(folder / "model.safetensors")
    first = dict(list(tensors.items())[::2])
    second = {name: array for name, array in tensors.items() if name not in first}
    (folder / "model.safetensors").unlink()
    save_file(first, folder / "a.safetensors")
    save_file(second, folder / "b.safetensors")
    index = dict.fromkeys(first, "a.safetensors") | dict.fromkeys(second, "b.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))

    assert load(folder).keys() == tensors.keys()


def test_what_config_implies_may_be_stored_too(changed: Callable[..., Path]):
    extra = {
        "model.layers.0.self_attn.rotary_emb.inv_freq": np.zeros(8, np.float32),
        "lm_head.weight": np.zeros((264, 32), np.float16),
    }

    assert "lm_head.weight" not in load(changed(extra))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        pytest.param({"model.norm.weight": None}, "model.norm.weight missing", id="missing"),
        pytest.param(
            {"model.norm.weight": None, "model.embed_tokens.weight": None},
            "model.embed_tokens.weight and 1 more missing",
            id="several missing",
        ),
        pytest.param(
            {"model.norm.weight": np.zeros(31, np.float16)},
            r"model.norm.weight has shape \(31,\), config.json asks for \(32,\)",
            id="wrong shape",
        ),
        pytest.param(
            {"model.norm.weight": np.full(32, np.nan, np.float16)},
            "model.norm.weight holds values that are not finite",
            id="not finite",
        ),
        pytest.param(
            {"model.layers.0.self_attn.q_proj.bias": np.zeros(64, np.float16)},
            "q_proj.bias is no part of the model",
            id="unknown",
        ),
    ],
)
def test_a_wrong_tensor_is_named_with_its_file(
    changed: Callable[..., Path], tensors: dict[str, np.ndarray | None], message: str
):
    with pytest.raises(ModelError, match=message) as raised:
        load(changed(tensors))

    assert "model.safetensors" in str(raised.value)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_truncated_file_is_one_clear_error(new_checkpoint: Callable[..., Path], keep: int):
    path = new_checkpoint() / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(ModelError, match=r"model\.safetensors: cannot be read"):
        load(path.parent)


def test_a_missing_file_is_named(new_checkpoint: Callable[..., Path]):
    path = new_checkpoint() / "model.safetensors"
    path.unlink()

    with pytest.raises(ModelError, match="no such file"):
        load(path.parent)


def test_an_index_cannot_lead_out_of_the_folder(new_checkpoint: Callable[..., Path]):
    folder = new_checkpoint()
    index = {"weight_map": {"model.norm.weight": "../../secret.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(ModelError, match=r"/model/secret\.safetensors: no such file"):
        load(folder)


def test_the_shapes_cover_every_layer(new_checkpoint: Callable[..., Path]):
    one, three = (tensor_shapes(load_spec(new_checkpoint(layers=layers))) for layers in (1, 3))

    assert len(three) - len(one) == 2 * 9
