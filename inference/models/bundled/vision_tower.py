"""The eye of the bundled model: a small SigLIP encoder and what brings it to the decoder."""

# mypy: disallow-subclassing-any=False
# torch may be absent where types are checked.

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class VisionShape:
    """The sizes that determine every tensor of the encoder."""

    hidden: int = 64
    feed_forward: int = 256
    layers: int = 2
    heads: int = 4
    channels: int = 1
    image_size: int = 8
    patch_size: int = 2
    norm_eps: float = 1e-6

    @property
    def patches(self) -> int:
        """Patches of an image, each of which becomes one embedding."""
        return (self.image_size // self.patch_size) ** 2


class Patches(nn.Module):
    """Cuts an image into squares, row by row, and says where each one lies."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(
            shape.channels, shape.hidden, shape.patch_size, stride=shape.patch_size
        )
        self.position_embedding = nn.Embedding(shape.patches, shape.hidden)

    def forward(self, images: Tensor) -> Tensor:
        """Images as rows of patches."""
        patches = self.patch_embedding(images).flatten(2).transpose(1, 2)
        placed: Tensor = patches + self.position_embedding.weight
        return placed


class PatchAttention(nn.Module):
    """Attention of every patch to all patches."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj = nn.Linear(shape.hidden, shape.hidden)
        self.k_proj = nn.Linear(shape.hidden, shape.hidden)
        self.v_proj = nn.Linear(shape.hidden, shape.hidden)
        self.out_proj = nn.Linear(shape.hidden, shape.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Read from the whole image."""
        heads = [self._by_head(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj)]
        mixed = functional.scaled_dot_product_attention(*heads)
        read: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return read

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class PatchFeedForward(nn.Module):
    """Two projections with a GELU between them."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.hidden, shape.feed_forward)
        self.fc2 = nn.Linear(shape.feed_forward, shape.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each patch alone."""
        transformed: Tensor = self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))
        return transformed


class EncoderLayer(nn.Module):
    """Attention, then feed-forward, each normalised first and added to its input."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(shape.hidden, eps=shape.norm_eps)
        self.self_attn = PatchAttention(shape)
        self.layer_norm2 = nn.LayerNorm(shape.hidden, eps=shape.norm_eps)
        self.mlp = PatchFeedForward(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Refine every patch's state."""
        attended: Tensor = x + self.self_attn(self.layer_norm1(x))
        refined: Tensor = attended + self.mlp(self.layer_norm2(attended))
        return refined


class Encoder(nn.Module):
    """Layers, one after the other."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(shape) for _ in range(shape.layers))

    def forward(self, x: Tensor) -> Tensor:
        """The last layer's output, which no norm follows."""
        for layer in self.layers:
            x = layer(x)
        return x


class VisionModel(nn.Module):
    """Patches, then the encoder."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.embeddings = Patches(shape)
        self.encoder = Encoder(shape)

    def forward(self, images: Tensor) -> Tensor:
        """One state for each patch of each image."""
        states: Tensor = self.encoder(self.embeddings(images))
        return states


class VisionTower(nn.Module):
    """Holds the encoder under the name that Hugging Face's LLaVA gives it."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.shape = shape
        self.vision_model = VisionModel(shape)

    def forward(self, images: Tensor) -> Tensor:
        """Images [n, channels, size, size] as features [n, patches, hidden]."""
        features: Tensor = self.vision_model(images)
        return features


class Projector(nn.Module):
    """Carries the features of patches over into the decoder's embeddings."""

    def __init__(self, seen: int, hidden: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(seen, hidden)
        self.linear_2 = nn.Linear(hidden, hidden)

    def forward(self, features: Tensor) -> Tensor:
        """One embedding for each patch."""
        embedding: Tensor = self.linear_2(functional.gelu(self.linear_1(features)))
        return embedding


def initialise(tower: VisionTower, spread: float) -> None:
    """Draw small matrices and no biases; norms stay as they are."""
    for name, weight in tower.named_parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=spread)
        elif name.endswith("bias"):
            torch.nn.init.zeros_(weight)
