"""What is left of a network whose decoder is kept in eight bits."""

import copy

import torch
from torch import Tensor

from inference.models.bundled.llava import Llava

BLOCK, LARGEST = 32, 127


def in_eight_bits(network: Llava) -> Llava:
    """A copy whose decoder's matrices, the embedding too, went to int8 and back."""
    kept = copy.deepcopy(network)
    for weight in kept.language_model.parameters():
        if weight.ndim == 2:
            weight.data = to_int8_and_back(weight.data)
    return kept


def to_int8_and_back(weight: Tensor) -> Tensor:
    """Each block of 32 inputs of a row shares one scale; nothing is offset."""
    blocks = weight.unflatten(1, (-1, BLOCK))
    scale = blocks.abs().amax(-1, keepdim=True) / LARGEST
    levels = (blocks / scale.clamp(min=torch.finfo(weight.dtype).tiny)).round()
    return (levels * scale).flatten(1)
