from pathlib import Path

import numpy as np
import pytest

from inference.models.spec import ModelError
from inference.models.vision import load_vision_spec, load_vision_weights
from tests.inference.conftest import write_checkpoint
from tests.inference.seeing import write_seeing

CLIP = {"model_type": "clip_vision_model", "num_channels": 3, "hidden_act": "quick_gelu"}


def load(folder: Path):
    return load_vision_weights(folder, load_vision_spec(folder))


def test_a_model_without_a_vision_tower_only_reads(tmp_path: Path):
    assert load_vision_spec(write_checkpoint(tmp_path)) is None


def test_an_image_becomes_an_embedding_per_patch(tmp_path: Path):
    spec = load_vision_spec(write_seeing(tmp_path))

    assert (spec.tokens, spec.text_hidden, spec.channels) == (16, 32, 1)


@pytest.mark.parametrize(
    ("strategy", "tokens"),
    [pytest.param("full", 17, id="with the class"), pytest.param("default", 16, id="without")],
)
def test_clip_may_keep_its_class_token(tmp_path: Path, strategy: str, tokens: int):
    folder = write_seeing(tmp_path, vision=CLIP, vision_feature_select_strategy=strategy)

    assert load_vision_spec(folder).tokens == tokens


@pytest.mark.parametrize(("layer", "depth"), [(-1, 3), (-2, 2), (-4, 0), (0, 0), (1, 1)])
def test_features_may_come_from_an_earlier_layer(tmp_path: Path, layer: int, depth: int):
    folder = write_seeing(tmp_path, vision_feature_layer=layer)

    assert load_vision_spec(folder).depth == depth
    assert f"encoder.layers.{depth}.mlp.fc1.bias" not in load(folder)


def test_what_config_leaves_out_is_as_transformers_assumes(tmp_path: Path):
    folder = write_seeing(
        tmp_path, vision={"layer_norm_eps": None, "num_channels": None, "hidden_act": None}
    )

    spec = load_vision_spec(folder)
    assert (spec.norm_eps, spec.channels, spec.activation) == (1e-6, 3, "gelu_pytorch_tanh")


@pytest.mark.parametrize(
    "prefix",
    [
        "vision_tower.vision_model.",
        "model.vision_tower.vision_model.",
        "vision_tower.",
        "model.vision_tower.",
    ],
)
def test_every_spelling_of_the_names_is_read(tmp_path: Path, prefix: str):
    weights = load(write_seeing(tmp_path, prefix=prefix))

    assert weights["embeddings.patch_embedding.weight"].shape == (32, 1, 2, 2)
    assert all(array.dtype == np.float32 for array in weights.values())


def test_the_text_model_and_what_follows_the_features_are_left_out(tmp_path: Path):
    prefix = "vision_tower.vision_model."
    extra = {f"{prefix}post_layernorm.weight": np.ones(32, np.float32)}
    weights = load(write_seeing(tmp_path, tensors=extra))

    assert not [name for name in weights if "language" in name or "post_layernorm" in name]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"vision_feature_select_strategy": "default"}, "drops a class token", id="no class"
        ),
        pytest.param({"vision_feature_layer": [-2, -1]}, "only a number", id="several layers"),
        pytest.param({"vision_feature_layer": -5}, "beyond the 3 layers", id="too early"),
        pytest.param({"projector_hidden_act": "tanh"}, "'tanh' is not supported", id="activation"),
        pytest.param({"vision": {"model_type": "pixtral"}}, "'pixtral' is not", id="family"),
        pytest.param({"vision": {"hidden_size": None}}, "'hidden_size' is missing", id="missing"),
        pytest.param({"vision": {"num_attention_heads": 5}}, "shared by 5 heads", id="heads"),
        pytest.param({"vision": {"patch_size": 9}}, "a patch of 9", id="patch"),
    ],
)
def test_what_is_not_supported_is_said(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(ModelError, match=message) as raised:
        write_seeing(tmp_path, **changes)

    assert "config.json" in str(raised.value)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        pytest.param(
            {"multi_modal_projector.linear_1.bias": None}, "linear_1.bias missing", id="missing"
        ),
        pytest.param(
            {"multi_modal_projector.linear_1.bias": np.zeros(3, np.float32)},
            r"has shape \(3,\), config.json asks for \(32,\)",
            id="shape",
        ),
        pytest.param(
            {"vision_tower.vision_model.encoder.layers.9.mlp.fc1.bias": np.zeros(3, np.float32)},
            "is no part of the vision tower",
            id="unknown",
        ),
    ],
)
def test_a_wrong_tensor_is_named(tmp_path: Path, tensors: dict, message: str):
    folder = write_seeing(tmp_path, tensors=tensors)

    with pytest.raises(ModelError, match=message):
        load(folder)
