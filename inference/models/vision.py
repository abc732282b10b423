"""What a LLaVA-shaped model sees with: the sizes and the weights of its vision tower.

An image is cut into patches, a transformer (SigLIP or CLIP) turns them into features, and a
projector carries those over into the decoder's embeddings.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.models.checkpoint import Weights, checked, read_tensors, refuse_missing
from inference.models.spec import ModelError, load_spec, read_json

SIGLIP = "siglip_vision_model"
CLIP = "clip_vision_model"
ACTIVATIONS = ("gelu", "gelu_pytorch_tanh", "quick_gelu", "relu")
# What transformers assumes where config.json says nothing.
_ASSUMED: dict[str, dict[str, Any]] = {
    SIGLIP: {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "num_channels": 3},
    CLIP: {"hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_channels": 3},
}
# As exporters spell it; the projector's tensors keep theirs.
_PREFIX = re.compile(r"(model\.)?(vision_tower\.(vision_model\.)?|(?=multi_modal_projector\.))")
_AFTER_THE_FEATURES = re.compile(r"(post_layernorm|head)\.|.*position_ids$")


@dataclass(frozen=True, slots=True)
class VisionSpec:
    """The sizes and constants that determine every tensor of tower and projector."""

    family: str  # SIGLIP or CLIP
    channels: int
    image_size: int  # pixels along each side
    patch_size: int
    hidden: int
    layers: int  # in the checkpoint
    depth: int  # layers before the features: with vision_feature_layer -1 all of them
    heads: int
    feed_forward: int
    activation: str
    norm_eps: float
    text_hidden: int  # width of the decoder's embeddings
    projector_activation: str
    projector_bias: bool = True
    keeps_class: bool = False  # whether CLIP's class token is one of the features

    def __post_init__(self) -> None:
        for name in ("channels", "patch_size", "hidden", "heads", "feed_forward", "text_hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of 1 or more, got {getattr(self, name)}")
        if self.image_size < self.patch_size:
            raise ValueError(f"a patch of {self.patch_size} leaves the image of {self.image_size}")
        if self.hidden % self.heads:
            raise ValueError(f"{self.hidden} dimensions cannot be shared by {self.heads} heads")
        for name in (self.activation, self.projector_activation):
            if name not in ACTIVATIONS:
                raise ValueError(f"activation {name!r} is not supported, only {ACTIVATIONS}")

    @property
    def has_class(self) -> bool:
        """Whether a class token stands before the patches."""
        return self.family == CLIP

    @property
    def patches(self) -> int:
        """Patches of one image."""
        return int((self.image_size // self.patch_size) ** 2)

    @property
    def tokens(self) -> int:
        """Embeddings that one image becomes."""
        return self.patches + self.keeps_class

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.hidden // self.heads


def load_vision_spec(folder: Path) -> VisionSpec | None:
    """Read how the model in a Hugging Face folder sees; None where it only reads."""
    path = folder / "config.json"
    config = read_json(path)
    if "vision_config" not in config:
        return None
    text_hidden = load_spec(folder).hidden
    try:
        return _spec(config, config["vision_config"], text_hidden)
    except KeyError as error:
        raise ModelError(f"{path}: the field {error} is missing") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: {error}") from error


def load_vision_weights(folder: Path, spec: VisionSpec) -> Weights:
    """Read and check the tensors of tower and projector; the first that is wrong is named.

    Their names are what follows `vision_tower.vision_model.`, or begin with
    `multi_modal_projector.`.
    """
    weights = dict(_tensors(folder, spec))
    refuse_missing(folder, vision_shapes(spec).keys() - weights.keys())
    return weights


def vision_shapes(spec: VisionSpec) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor that leads from pixels to embeddings."""
    hidden = spec.hidden
    side = spec.patch_size
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.patch_embedding.weight": (hidden, spec.channels, side, side),
        "embeddings.position_embedding.weight": (spec.patches + spec.has_class, hidden),
        "multi_modal_projector.linear_1.weight": (spec.text_hidden, hidden),
        "multi_modal_projector.linear_2.weight": (spec.text_hidden, spec.text_hidden),
    }
    if spec.projector_bias:
        shapes |= {f"multi_modal_projector.linear_{n}.bias": (spec.text_hidden,) for n in (1, 2)}
    if spec.has_class:
        shapes["embeddings.class_embedding"] = (hidden,)
        shapes |= _norm_shapes("pre_layrnorm", hidden)  # sic: the name as published
    else:
        shapes["embeddings.patch_embedding.bias"] = (hidden,)
    for layer in range(spec.depth):
        shapes |= _layer_shapes(f"encoder.layers.{layer}.", spec)
    return shapes


def _spec(config: Mapping[str, Any], vision: Mapping[str, Any], text_hidden: int) -> VisionSpec:
    family = vision["model_type"]
    if family not in _ASSUMED:
        raise ValueError(f"vision tower {family!r} is not supported, only {tuple(_ASSUMED)}")
    stated = _ASSUMED[family] | {key: one for key, one in vision.items() if one is not None}
    layers = int(stated["num_hidden_layers"])
    return VisionSpec(
        family=family,
        channels=int(stated["num_channels"]),
        image_size=int(stated["image_size"]),
        patch_size=int(stated["patch_size"]),
        hidden=int(stated["hidden_size"]),
        layers=layers,
        depth=_depth(config.get("vision_feature_layer", -2), layers),
        heads=int(stated["num_attention_heads"]),
        feed_forward=int(stated["intermediate_size"]),
        activation=str(stated["hidden_act"]),
        norm_eps=float(stated["layer_norm_eps"]),
        text_hidden=text_hidden,
        projector_activation=str(config.get("projector_hidden_act", "gelu")),
        projector_bias=bool(config.get("multimodal_projector_bias", True)),
        keeps_class=_keeps_class(config.get("vision_feature_select_strategy", "default"), family),
    )


def _depth(feature_layer: object, layers: int) -> int:
    """Return how many layers come before the features; state 0 is the embedded patches."""
    if not isinstance(feature_layer, int):
        raise TypeError(f"vision_feature_layer {feature_layer!r} is not supported, only a number")
    depth = feature_layer if feature_layer >= 0 else layers + 1 + feature_layer
    if not 0 <= depth <= layers:
        raise ValueError(f"vision_feature_layer {feature_layer} is beyond the {layers} layers")
    return depth


def _keeps_class(strategy: object, family: str) -> bool:
    if strategy not in ("default", "full"):
        raise ValueError(f"vision_feature_select_strategy {strategy!r}: expected default or full")
    if family == SIGLIP and strategy == "default":
        # "default" drops the first feature, which in SigLIP is a patch like any other.
        raise ValueError(
            "vision_feature_select_strategy 'default' drops a class token, which "
            f"{SIGLIP} does not have; expected 'full'"
        )
    return family == CLIP and strategy == "full"


def _layer_shapes(prefix: str, spec: VisionSpec) -> dict[str, tuple[int, ...]]:
    hidden, wide = spec.hidden, spec.feed_forward
    shapes = _norm_shapes(f"{prefix}layer_norm1", hidden)
    shapes |= _norm_shapes(f"{prefix}layer_norm2", hidden)
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        shapes[f"{prefix}self_attn.{name}.weight"] = (hidden, hidden)
        shapes[f"{prefix}self_attn.{name}.bias"] = (hidden,)
    shapes[f"{prefix}mlp.fc1.weight"] = (wide, hidden)
    shapes[f"{prefix}mlp.fc1.bias"] = (wide,)
    shapes[f"{prefix}mlp.fc2.weight"] = (hidden, wide)
    shapes[f"{prefix}mlp.fc2.bias"] = (hidden,)
    return shapes


def _norm_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _tensors(folder: Path, spec: VisionSpec) -> Iterator[tuple[str, NDArray[np.float32]]]:
    expected = vision_shapes(spec)
    for path, stored, array in read_tensors(folder, wanted=_is_ours):
        name = _PREFIX.sub("", stored, count=1)
        if name in expected:
            yield name, checked(path, stored, array, expected[name])
        elif not _is_unused(name, spec):
            raise ModelError(f"{path}: tensor {stored} is no part of the vision tower")


def _is_ours(stored: str) -> bool:
    return _PREFIX.match(stored) is not None


def _is_unused(name: str, spec: VisionSpec) -> bool:
    """Tell whether a tensor of the tower comes after the features."""
    layer = re.match(r"encoder\.layers\.(\d+)\.", name)
    is_later = layer is not None and spec.depth <= int(layer[1]) < spec.layers
    return is_later or _AFTER_THE_FEATURES.match(name) is not None
