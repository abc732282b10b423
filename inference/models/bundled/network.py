"""The decoder that is trained: a Llama whose state dict carries Hugging Face's names."""

# mypy: disallow-subclassing-any=False
# torch may be absent where types are checked.

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

INITIAL_SPREAD = 0.02


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that determine every tensor of the network."""

    vocabulary: int
    hidden: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 32
    feed_forward: int = 512
    positions: int = 512
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} key-value heads")


class Attention(nn.Module):
    """Causal attention in which several query heads share one key-value head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        keys = shape.kv_heads * shape.head_dim
        queries = shape.heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden, queries, bias=False)
        self.k_proj = nn.Linear(shape.hidden, keys, bias=False)
        self.v_proj = nn.Linear(shape.hidden, keys, bias=False)
        self.o_proj = nn.Linear(queries, shape.hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Read from all positions up to each one."""
        query = rotate(self._by_head(self.q_proj(x)), cos, sin)
        key = rotate(self._by_head(self.k_proj(x)), cos, sin)
        mixed = attend(query, key, self._by_head(self.v_proj(x)))
        read: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return read

    def _by_head(self, x: Tensor) -> Tensor:
        rows, length, _ = x.shape
        return x.view(rows, length, -1, self.shape.head_dim).transpose(1, 2)


class FeedForward(nn.Module):
    """SwiGLU: one projection gates the other."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.down_proj = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each position alone."""
        gated = functional.silu(self.gate_proj(x)) * self.up_proj(x)
        transformed: Tensor = self.down_proj(gated)
        return transformed


class Layer(nn.Module):
    """Attention, then feed-forward, each normalised first and added to its input."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.hidden, eps=shape.norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden, eps=shape.norm_eps)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Refine every position's state."""
        attended: Tensor = x + self.self_attn(self.input_layernorm(x), cos, sin)
        refined: Tensor = attended + self.mlp(self.post_attention_layernorm(attended))
        return refined


class Body(nn.Module):
    """Embedding, layers and the final norm."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden, eps=shape.norm_eps)
        angles = rope_angles(shape)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The final state of every position, from the embeddings [rows, length, hidden]."""
        cos, sin = self.cos[: x.shape[1]], self.sin[: x.shape[1]]
        for layer in self.layers:
            x = layer(x, cos, sin)
        state: Tensor = self.norm(x)
        return state


class Network(nn.Module):
    """The decoder under the names of Hugging Face's Llama; its embedding is its output layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = Body(shape)
        self._initialise()

    def _initialise(self) -> None:
        residual = INITIAL_SPREAD / (2 * self.shape.layers) ** 0.5
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                ends_branch = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=residual if ends_branch else INITIAL_SPREAD)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Mix each position's values of itself and all before it.

    Written out, since on the CPU the fused kernel's backward pass takes a third longer.
    """
    rows, kv_heads, length, size = key.shape
    grouped = query.to(value.dtype).reshape(rows, kv_heads, -1, size)
    scores = grouped @ key.to(value.dtype).transpose(2, 3) * size**-0.5
    future = torch.full((length, length), -torch.inf, dtype=scores.dtype).triu(1)
    masked = scores.view(rows, kv_heads, -1, length, length) + future
    weights = functional.softmax(masked, dim=-1).to(value.dtype).flatten(2, 3)
    return (weights @ value).view(rows, -1, length, size)


def rope_angles(shape: Shape) -> Tensor:
    """Each position's rotation angle for each pair of head dimensions."""
    exponents = torch.arange(0, shape.head_dim, 2) / shape.head_dim
    frequencies = shape.rope_theta**-exponents
    return torch.outer(torch.arange(shape.positions).float(), frequencies)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the first half of each head against its second half, as Hugging Face does."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
