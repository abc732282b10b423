"""Processes that train one network together, each on batches of its own."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed, nn

MEETING_POINT = "crew"


@dataclass(frozen=True, slots=True)
class Crew:
    """This process among all; one alone has nobody to meet."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """True of the one process that writes files."""
        return self.rank == 0

    def meet(self, folder: Path) -> None:
        """Wait until all are there; they find each other through a file."""
        if self.size > 1:
            place = f"file://{(folder / MEETING_POINT).resolve()}"
            distributed.init_process_group(
                "gloo", init_method=place, rank=self.rank, world_size=self.size
            )

    def agree(self, network: nn.Module, progress: float) -> float:
        """Give everyone the mean of all gradients, and return the mean of all progress."""
        if self.size == 1:
            return progress
        gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
        told = torch.cat([*(grad.flatten() for grad in gradients), torch.tensor([progress])])
        distributed.all_reduce(told)
        told /= self.size
        sizes = [grad.numel() for grad in gradients]
        *means, agreed = told.split([*sizes, 1])
        for grad, mean in zip(gradients, means, strict=True):
            grad.copy_(mean.view_as(grad))
        return float(agreed)
