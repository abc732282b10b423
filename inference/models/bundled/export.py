"""The files that a trained network is shipped as, in Hugging Face's Llama format."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from inference.models.bundled import vocabulary
from inference.models.bundled.network import Network, Shape

WEIGHTS, CONFIG, SCORES = "model.safetensors", "config.json", "scores.json"
GENERATION = "generation_config.json"
READABLE = 0o644


def save(network: Network, folder: Path) -> None:
    """Write weights and configuration so that a reader sees the old ones or the new ones."""
    tensors = {name: weight.half().contiguous() for name, weight in network.state_dict().items()}
    partial = folder / f"{WEIGHTS}.partial"
    save_file(tensors, partial, metadata={"format": "pt"})
    partial.chmod(READABLE)
    partial.replace(folder / WEIGHTS)
    write_json(folder / CONFIG, config(network.shape))
    write_json(folder / GENERATION, generation())


def load(folder: Path) -> Network:
    """The network as shipped: weights rounded to half precision, computed in single."""
    network = Network(shape(json.loads((folder / CONFIG).read_text())))
    tensors = load_file(folder / WEIGHTS)
    network.load_state_dict({name: weight.float() for name, weight in tensors.items()})
    return network


def config(shape: Shape) -> dict[str, Any]:
    """The shape under the names of Hugging Face's Llama."""
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
        "bos_token_id": vocabulary.BOS_ID,
        "eos_token_id": vocabulary.END_ID,
        "pad_token_id": vocabulary.PAD_ID,
    }


def generation() -> dict[str, Any]:
    """How the model answers where a request does not say: the likeliest token, always."""
    return {
        "do_sample": False,
        "bos_token_id": vocabulary.BOS_ID,
        "eos_token_id": vocabulary.END_ID,
        "pad_token_id": vocabulary.PAD_ID,
    }


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


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace the file in one go."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2) + "\n")
    partial.replace(path)
