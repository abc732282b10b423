"""The bundled model as a reader would meet it: its files, and LLaVA's arithmetic in NumPy."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.special import erf
from tokenizers import Tokenizer

from inference.models import bundled

FOLDER = Path(bundled.__file__).parent


@dataclass(frozen=True)
class Weights:
    """Tensors by name, of one part of the model."""

    config: dict
    tensors: dict[str, np.ndarray]
    prefix: str

    def __getitem__(self, name: str) -> np.ndarray:
        return self.tensors[self.prefix + name]

    def linear(self, state: np.ndarray, name: str) -> np.ndarray:
        bias = self.tensors.get(f"{self.prefix}{name}.bias", 0)
        return state @ self[f"{name}.weight"].T + bias


class Eye(Weights):
    """Hugging Face's SigLIP as LLaVA uses it, and the projector behind it."""

    def embeddings(self, image: np.ndarray) -> np.ndarray:
        name = "vision_tower.vision_model.embeddings."
        state = self.patches(image) @ self[f"{name}patch_embedding.weight"].reshape(64, -1).T
        state += self[f"{name}patch_embedding.bias"] + self[f"{name}position_embedding.weight"]
        for layer in range(self.config["num_hidden_layers"]):
            prefix = f"vision_tower.vision_model.encoder.layers.{layer}."
            state = state + self.attention(self.norm(state, prefix + "layer_norm1"), prefix)
            inner = self.linear(self.norm(state, prefix + "layer_norm2"), prefix + "mlp.fc1")
            gate = 1 + np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3))
            state = state + self.linear(inner * gate / 2, prefix + "mlp.fc2")
        return self.projected(state)

    def projected(self, state: np.ndarray) -> np.ndarray:
        inner = self.linear(state, "multi_modal_projector.linear_1")
        gated = inner * (1 + erf(inner / np.sqrt(2))) / 2
        return self.linear(gated, "multi_modal_projector.linear_2")

    def patches(self, image: np.ndarray) -> np.ndarray:
        size = self.config["patch_size"]
        count = self.config["image_size"] // size
        squares = image.reshape(count, size, count, size).swapaxes(1, 2)
        return squares.reshape(count * count, size * size)

    def attention(self, state: np.ndarray, prefix: str) -> np.ndarray:
        query, key, value = (
            self.by_head(self.linear(state, f"{prefix}self_attn.{name}_proj")) for name in "qkv"
        )
        mixed = softmax(query @ key.swapaxes(1, 2) / np.sqrt(query.shape[2])) @ value
        joined = mixed.swapaxes(0, 1).reshape(len(state), -1)
        return self.linear(joined, f"{prefix}self_attn.out_proj")

    def by_head(self, state: np.ndarray) -> np.ndarray:
        return state.reshape(len(state), self.config["num_attention_heads"], -1).swapaxes(0, 1)

    def norm(self, state: np.ndarray, name: str) -> np.ndarray:
        centred = state - state.mean(-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / spread * self[f"{name}.weight"] + self[f"{name}.bias"]


class Llama(Weights):
    """Hugging Face's Llama, recomputed in full for every token; slow and plain."""

    def logits(self, state: np.ndarray) -> np.ndarray:
        for layer in range(self.config["num_hidden_layers"]):
            prefix = f"layers.{layer}."
            state = state + self.attention(
                self.norm(state, prefix + "input_layernorm"), prefix + "self_attn."
            )
            state = state + self.feed_forward(
                self.norm(state, prefix + "post_attention_layernorm"), prefix + "mlp."
            )
        return self.norm(state, "norm") @ self["embed_tokens.weight"].T

    def attention(self, state: np.ndarray, prefix: str) -> np.ndarray:
        query, key, value = (
            self.by_head(self.linear(state, f"{prefix}{name}_proj")) for name in "qkv"
        )
        shared = self.config["num_attention_heads"] // self.config["num_key_value_heads"]
        query, key = self.rotated(query), np.repeat(self.rotated(key), shared, axis=0)
        scores = query @ key.swapaxes(1, 2) / np.sqrt(self.config["head_dim"])
        scores[:, *np.triu_indices(len(state), 1)] = -np.inf
        mixed = softmax(scores) @ np.repeat(value, shared, axis=0)
        return self.linear(mixed.swapaxes(0, 1).reshape(len(state), -1), f"{prefix}o_proj")

    def feed_forward(self, state: np.ndarray, prefix: str) -> np.ndarray:
        gate, up = self.linear(state, f"{prefix}gate_proj"), self.linear(state, f"{prefix}up_proj")
        return self.linear(gate / (1 + np.exp(-gate)) * up, f"{prefix}down_proj")

    def by_head(self, state: np.ndarray) -> np.ndarray:
        return state.reshape(len(state), -1, self.config["head_dim"]).swapaxes(0, 1)

    def rotated(self, heads: np.ndarray) -> np.ndarray:
        size = self.config["head_dim"]
        frequencies = self.config["rope_theta"] ** (-np.arange(0, size, 2) / size)
        angles = np.outer(np.arange(heads.shape[1]), frequencies)
        cos, sin = np.cos(angles), np.sin(angles)
        first, second = heads[..., : size // 2], heads[..., size // 2 :]
        return np.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)

    def norm(self, state: np.ndarray, name: str) -> np.ndarray:
        power = (state**2).mean(-1, keepdims=True) + self.config["rms_norm_eps"]
        return state / np.sqrt(power) * self[f"{name}.weight"]


@dataclass(frozen=True)
class Llava:
    """Both, joined where the marks of images stand."""

    config: dict
    eye: Eye
    llama: Llama

    def greedy(self, tokens: list[int], *images: np.ndarray, limit: int = 120) -> list[int]:
        answer: list[int] = []
        while len(answer) < limit:
            token = int(self.logits(tokens + answer, *images)[-1].argmax())
            if token == self.config["eos_token_id"]:
                break
            answer.append(token)
        return answer

    def logits(self, tokens: list[int], *images: np.ndarray) -> np.ndarray:
        state = self.llama["embed_tokens.weight"][tokens]
        if images:
            marked = np.array(tokens) == self.config["image_token_index"]
            state[marked] = np.concatenate([self.eye.embeddings(image) for image in images])
        return self.llama.logits(state)


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@pytest.fixture(scope="session")
def folder() -> Path:
    return FOLDER


@pytest.fixture(scope="session")
def config(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())


@pytest.fixture(scope="session")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture(scope="session")
def llava(folder: Path, config: dict) -> Llava:
    halves = load_file(folder / "model.safetensors")
    tensors = {name: half.astype(np.float32) for name, half in halves.items()}
    eye = Eye(config["vision_config"], tensors, "")
    return Llava(config, eye, Llama(config["text_config"], tensors, "language_model.model."))
