"""The files that a trained network is shipped as, in Hugging Face's LLaVA format."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from inference.models.bundled import digits, vocabulary
from inference.models.bundled.llava import Llava
from inference.models.bundled.network import Shape
from inference.models.bundled.vision_tower import VisionShape

WEIGHTS, CONFIG, SCORES = "model.safetensors", "config.json", "scores.json"
GENERATION, PREPROCESSOR = "generation_config.json", "preprocessor_config.json"
BOX_FILTER = 4  # as Pillow numbers it
READABLE = 0o644


def save(network: Llava, folder: Path) -> None:
    """Write weights and configuration so that a reader sees the old ones or the new ones."""
    tensors = {name: weight.half().contiguous() for name, weight in network.state_dict().items()}
    partial = folder / f"{WEIGHTS}.partial"
    save_file(tensors, partial, metadata={"format": "pt"})
    partial.chmod(READABLE)
    partial.replace(folder / WEIGHTS)
    write_json(folder / CONFIG, config(network))
    write_json(folder / GENERATION, generation())
    write_json(folder / PREPROCESSOR, preprocessor())


def load(folder: Path) -> Llava:
    """The network as shipped: weights rounded to half precision, computed in single."""
    settings = json.loads((folder / CONFIG).read_text())
    network = Llava(shape(settings["text_config"]), vision_shape(settings["vision_config"]))
    tensors = load_file(folder / WEIGHTS)
    network.load_state_dict({name: weight.float() for name, weight in tensors.items()})
    return network


def load_to_continue(folder: Path) -> Llava:
    """The network in a folder; a decoder that has no eye yet gets an untrained one."""
    settings = json.loads((folder / CONFIG).read_text())
    if "text_config" in settings:
        return load(folder)
    network = Llava(shape(settings), VisionShape())
    tensors = load_file(folder / WEIGHTS)
    network.language_model.load_state_dict(
        {name: weight.float() for name, weight in tensors.items()}
    )
    return network


def config(network: Llava) -> dict[str, Any]:
    """The whole model under the names of Hugging Face's LLaVA."""
    seen = network.vision_tower.shape
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "image_token_index": vocabulary.IMAGE_ID,
        "image_seq_length": seen.patches,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "multimodal_projector_bias": True,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        **marks(),
        "text_config": text_config(network.shape),
        "vision_config": vision_config(seen),
    }


def text_config(shape: Shape) -> dict[str, Any]:
    """The decoder under the names of Hugging Face's Llama."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.feed_forward,
        "max_position_embeddings": shape.positions,
        "rms_norm_eps": shape.norm_eps,
        "rope_theta": shape.rope_theta,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        **marks(),
    }


def vision_config(shape: VisionShape) -> dict[str, Any]:
    """The eye under the names of Hugging Face's SigLIP."""
    return {
        "model_type": "siglip_vision_model",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_channels": shape.channels,
        "image_size": shape.image_size,
        "patch_size": shape.patch_size,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": shape.norm_eps,
        "vision_use_head": False,
    }


def preprocessor() -> dict[str, Any]:
    """How a picture becomes pixels, as `digits.pixels` does it."""
    return {
        "do_resize": True,
        "size": {"height": digits.SIDE, "width": digits.SIDE},
        "resample": BOX_FILTER,
        "do_convert_rgb": False,
        "image_mode": "L",
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [digits.MEAN],
        "image_std": [digits.SPREAD],
    }


def marks() -> dict[str, int]:
    """The ids of the marks that begin, end and fill up a text."""
    return {
        "bos_token_id": vocabulary.BOS_ID,
        "eos_token_id": vocabulary.END_ID,
        "pad_token_id": vocabulary.PAD_ID,
    }


def generation() -> dict[str, Any]:
    """How the model answers where a request does not say: the likeliest token, always."""
    return {"do_sample": False, **marks()}


def shape(config: dict[str, Any]) -> Shape:
    """The shape that a configuration describes."""
    return Shape(
        vocabulary=config["vocab_size"],
        hidden=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_dim=config["head_dim"],
        feed_forward=config["intermediate_size"],
        positions=config["max_position_embeddings"],
        norm_eps=config["rms_norm_eps"],
        rope_theta=config["rope_theta"],
    )


def vision_shape(config: dict[str, Any]) -> VisionShape:
    """The shape of the eye that a configuration describes."""
    return VisionShape(
        hidden=config["hidden_size"],
        feed_forward=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        channels=config["num_channels"],
        image_size=config["image_size"],
        patch_size=config["patch_size"],
        norm_eps=config["layer_norm_eps"],
    )


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace the file in one go."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2) + "\n")
    partial.replace(path)
