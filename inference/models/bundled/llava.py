"""The whole model: an eye, a projector and a decoder, under the names of Hugging Face's LLaVA."""

# mypy: disallow-subclassing-any=False
# torch may be absent where types are checked.

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.models.bundled import vision_tower
from inference.models.bundled.network import Network, Shape
from inference.models.bundled.vision_tower import Projector, VisionShape, VisionTower
from inference.models.bundled.vocabulary import IMAGE_ID

VISION_SPREAD = 0.05


class Llava(nn.Module):
    """A decoder in whose input the marks of images give way to what the eye saw."""

    def __init__(self, shape: Shape, seen: VisionShape) -> None:
        super().__init__()
        self.language_model = Network(shape)
        self.vision_tower = VisionTower(seen)
        self.multi_modal_projector = Projector(seen.hidden, shape.hidden)
        vision_tower.initialise(self.vision_tower, VISION_SPREAD)

    @property
    def shape(self) -> Shape:
        """The decoder's sizes."""
        return self.language_model.shape

    def forward(self, tokens: Tensor, images: Tensor | None = None) -> Tensor:
        """Scores of every token of the vocabulary, for what follows each position."""
        return self.scores(self.states(tokens, images))

    def states(self, tokens: Tensor, images: Tensor | None = None) -> Tensor:
        """The final state of every position; images stand in the order of their marks."""
        body = self.language_model.model
        embedded = body.embed_tokens(tokens)
        if images is not None:
            embedded = place(self.looked_at(images), embedded, tokens == IMAGE_ID)
        states: Tensor = body(embedded)
        return states

    def looked_at(self, images: Tensor) -> Tensor:
        """Images [n, channels, size, size] as embeddings [n, patches, hidden]."""
        embeddings: Tensor = self.multi_modal_projector(self.vision_tower(images))
        return embeddings

    def scores(self, states: Tensor) -> Tensor:
        """The output layer, which is the embedding, transposed."""
        return functional.linear(states, self.language_model.model.embed_tokens.weight)

    def num_parameters(self) -> int:
        """Weights that training sets; the shared embedding counts once."""
        return sum(weight.numel() for weight in self.parameters())


def place(seen: Tensor, embedded: Tensor, marked: Tensor) -> Tensor:
    """The embeddings of the text, with those of the images at the marked positions."""
    placed = embedded.to(torch.float32, copy=True)
    placed[marked] = seen.flatten(0, 1).float()
    return placed
