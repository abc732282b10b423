"""The bundled model as a reader would meet it: its files, and Llama's arithmetic in NumPy."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from inference.models import bundled

FOLDER = Path(bundled.__file__).parent


@dataclass(frozen=True)
class Llama:
    """Hugging Face's Llama, recomputed in full for every token; slow and plain."""

    config: dict
    weights: dict[str, np.ndarray]

    def greedy(self, tokens: list[int], limit: int = 120) -> list[int]:
        answer: list[int] = []
        while len(answer) < limit:
            token = int(self.logits(tokens + answer)[-1].argmax())
            if token == self.config["eos_token_id"]:
                break
            answer.append(token)
        return answer

    def logits(self, tokens: list[int]) -> np.ndarray:
        embedding = self.weights["model.embed_tokens.weight"]
        state = embedding[tokens]
        for layer in range(self.config["num_hidden_layers"]):
            prefix = f"model.layers.{layer}."
            state = state + self.attention(
                self.norm(state, prefix + "input_layernorm"), prefix + "self_attn."
            )
            state = state + self.feed_forward(
                self.norm(state, prefix + "post_attention_layernorm"), prefix + "mlp."
            )
        return self.norm(state, "model.norm") @ embedding.T

    def attention(self, state: np.ndarray, prefix: str) -> np.ndarray:
        query, key, value = (
            self.by_head(self.linear(state, f"{prefix}{name}_proj")) for name in "qkv"
        )
        shared = self.config["num_attention_heads"] // self.config["num_key_value_heads"]
        query, key = self.rotated(query), np.repeat(self.rotated(key), shared, axis=0)
        scores = query @ key.swapaxes(1, 2) / np.sqrt(self.config["head_dim"])
        scores[:, *np.triu_indices(len(state), 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = weights @ np.repeat(value, shared, axis=0)
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
        return state / np.sqrt(power) * self.weights[f"{name}.weight"]

    def linear(self, state: np.ndarray, name: str) -> np.ndarray:
        return state @ self.weights[f"{name}.weight"].T


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
def llama(folder: Path, config: dict) -> Llama:
    tensors = load_file(folder / "model.safetensors")
    return Llama(config, {name: tensor.astype(np.float32) for name, tensor in tensors.items()})
