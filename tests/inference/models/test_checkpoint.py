import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from inference.models.checkpoint import checked, load_weights, read_tensors, tensor_shapes
from inference.models.spec import ModelError, load_spec
from tests.inference.conftest import FAMILIES, tiny, write_checkpoint


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


def test_bfloat16_becomes_single(changed: Callable[..., Path]):
    scale = np.linspace(-3e38, 3e38, 32).astype(ml_dtypes.bfloat16)

    weights = load(changed({"model.norm.weight": scale}))

    np.testing.assert_array_equal(weights["model.norm.weight"], scale.astype(np.float32))


def test_single_precision_is_not_copied(tmp_path: Path):
    array = np.ones(4, np.float32)

    assert checked(tmp_path, "one", array, (4,)) is array


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_tensors(tmp_path: Path, family: str):
    weights = load(write_checkpoint(tmp_path, tiny(family)))

    assert {name: array.shape for name, array in weights.items()} == tensor_shapes(tiny(family))


@pytest.mark.parametrize(
    ("layers", "head", "tower"),
    [
        pytest.param("language_model.model.", "language_model.lm_head.", "", id="as saved"),
        pytest.param("model.language_model.", "lm_head.", "model.", id="as transformers 5 names"),
    ],
)
def test_a_decoder_that_sees_is_read_without_its_eyes(
    tmp_path: Path, layers: str, head: str, tower: str
):
    spec = dataclasses.replace(tiny("llava"), tied=False)
    path = write_checkpoint(tmp_path, spec) / "model.safetensors"
    tensors = {
        name.replace("language_model.model.", layers).replace("language_model.lm_head.", head): one
        for name, one in load_file(path).items()
    }
    eyes = {
        f"{tower}vision_tower.vision_model.embeddings.position_ids": np.arange(4),
        f"{tower}multi_modal_projector.linear_1.bias": np.full(4, np.nan, np.float32),
    }
    save_file(tensors | eyes, path)

    assert load(tmp_path).keys() == tensor_shapes(spec).keys()


def test_a_decoder_without_eyes_has_no_part_of_them(changed: Callable[..., Path]):
    folder = changed({"multi_modal_projector.linear_1.bias": np.zeros(4, np.float32)})

    with pytest.raises(ModelError, match=r"linear_1\.bias is no part of the model"):
        load(folder)


def test_only_wanted_tensors_are_read(changed: Callable[..., Path]):
    folder = changed({"counts": np.arange(4)})

    (only,) = read_tensors(folder, wanted=lambda name: name == "model.norm.weight")

    assert (only.path.name, only.name) == ("model.safetensors", "model.norm.weight")


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
            {"model.norm.weight": np.full(32, 1e300)},
            "model.norm.weight holds values that are not finite",
            id="beyond single precision",
        ),
        pytest.param(
            {"model.norm.weight": np.ones(32, np.int8)},
            "model.norm.weight is stored as I8, expected one of F16, BF16, F32, F64",
            id="whole numbers",
        ),
        pytest.param(
            {"model.norm.weight": np.ones(32, ml_dtypes.float8_e4m3fn)},
            "model.norm.weight is stored as F8_E4M3",
            id="eight bits",
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


def test_pickled_weights_are_not_read(new_checkpoint: Callable[..., Path]):
    path = new_checkpoint() / "model.safetensors"
    path.rename(path.parent / "pytorch_model.bin")

    with pytest.raises(ModelError, match="pickled weights beside it are not read"):
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
