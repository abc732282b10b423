"""Teaches the eye alone to tell digits apart, before it is joined to the decoder."""

import random

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.models.bundled import digits
from inference.models.bundled.digits import Digit
from inference.models.bundled.vision_tower import VisionTower

ROWS = 64
RATE, DECAY, WARM_UP_STEPS = 3e-3, 0.05, 100
SMOOTHING = 0.05


def learn_to_see(tower: VisionTower, taught: list[Digit], *, steps: int, seed: int) -> None:
    """Fit the tower under a linear layer that reads its mean feature and is then thrown away."""
    rng = random.Random(seed)
    reader = nn.Linear(tower.shape.hidden, len(digits.NAMES))
    optimizer = torch.optim.AdamW([*tower.parameters(), *reader.parameters()], weight_decay=DECAY)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * share(step, steps)
        images, values = draw(taught, rng)
        told = reader(tower(images).mean(1))
        loss = functional.cross_entropy(told, values, label_smoothing=SMOOTHING)
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()


def draw(taught: list[Digit], rng: random.Random) -> tuple[Tensor, Tensor]:
    """Pictures of some digits, varied, and which digits they are."""
    chosen = rng.choices(taught, k=ROWS)
    images = np.stack([digits.pixels(digits.varied(digit, rng)) for digit in chosen])
    return torch.from_numpy(images), torch.tensor([digit.value for digit in chosen])


def share(step: int, steps: int) -> float:
    """Of the full rate: a short rise, then a straight fall to zero."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * (1 - step / steps)
