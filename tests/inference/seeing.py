"""A tiny model that sees, with random weights, and pictures to show it."""

import base64
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file, save_file

from inference.models.vision import load_vision_spec, vision_shapes
from tests.inference.conftest import tiny, write_checkpoint

VISION = {
    "model_type": "siglip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_channels": 1,
    "image_size": 8,
    "patch_size": 2,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
    "vision_use_head": False,
}
SEEING = {
    "vision_config": VISION,
    "image_seq_length": 16,
    "projector_hidden_act": "gelu",
    "vision_feature_layer": -1,
    "vision_feature_select_strategy": "full",
}
PREPROCESSOR = {
    "size": {"height": 8, "width": 8},
    "image_mode": "L",
    "resample": 4,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5],
    "image_std": [0.5],
    "do_convert_rgb": False,
}


def write_seeing(
    folder: Path,
    *,
    vision: dict[str, object] | None = None,
    prefix: str = "vision_tower.vision_model.",
    tensors: dict[str, np.ndarray | None] | None = None,
    **changes: object,
) -> Path:
    """Write a checkpoint; `vision` and `changes` alter its config, `tensors` what is stored."""
    write_checkpoint(folder, tiny("llava"))
    config = json.loads((folder / "config.json").read_text())
    config |= SEEING | changes | {"vision_config": VISION | (vision or {})}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    spec = load_vision_spec(folder)
    shapes = vision_shapes(dataclasses.replace(spec, depth=spec.layers))
    rng = np.random.default_rng(3)
    stored = {
        name if name.startswith("multi_modal") else prefix + name: _random(rng, shape)
        for name, shape in shapes.items()
    }
    stored |= load_file(folder / "model.safetensors") | (tensors or {})
    kept = {name: array for name, array in stored.items() if array is not None}
    save_file(kept, folder / "model.safetensors")
    return folder


def _random(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float16)


def picture(size: tuple[int, int] = (20, 12), seed: int = 5) -> Image.Image:
    """A picture of noise: every pixel matters."""
    width, height = size
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(levels)


def data_url(image: Image.Image | bytes, kind: str = "png", **options: object) -> str:
    """A picture as an OpenAI client sends it."""
    if isinstance(image, Image.Image):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        image = buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
