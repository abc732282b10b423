"""Toto 2.0 of the package toto-2, as a foundation model.

Written after the interface that the package documents, and tested against a stand-in for it:
never run with real weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from forecaster.models.extras import require
from forecaster.models.model import Floats
from forecaster.models.pretrained.deciles import at_levels

WEIGHTS = "Datadog/Toto-2.0-4m"

_PATCH = 32  # contexts are padded to whole patches


class Forecaster(Protocol):
    """The part of `toto2.Toto2Model` that is used."""

    def forecast(
        self, inputs: Mapping[str, Any], *, horizon: int, has_missing_values: bool
    ) -> Any:
        """Return nine deciles x series x variates x steps."""
        ...


@dataclass(frozen=True, slots=True)
class Toto:
    """A Toto model; its quantiles beyond .1 and .9 are the outermost that it has."""

    model: Forecaster
    tensor: Callable[[Any], Any] = np.asarray  # makes what the model takes of an array
    name: str = "toto"
    context: int = 2048

    def quantiles(
        self, contexts: Sequence[Floats], horizon: int, levels: Sequence[float]
    ) -> Floats:
        """Continue each context: contexts x horizon x levels."""
        size = -(-max(context.size for context in contexts) // _PATCH) * _PATCH
        values = np.zeros((len(contexts), 1, size), dtype=np.float32)
        mask = np.zeros(values.shape, dtype=np.bool_)
        for row, context in enumerate(contexts):
            values[row, 0, size - context.size :] = context
            mask[row, 0, size - context.size :] = True
        inputs = {
            "target": self.tensor(values),
            "target_mask": self.tensor(mask),
            "series_ids": self.tensor(np.zeros((len(contexts), 1), dtype=np.int64)),
        }
        told = self.model.forecast(
            inputs, horizon=horizon, has_missing_values=not bool(mask.all())
        )
        deciles = np.asarray(told, dtype=np.float64)[:, :, 0]
        return at_levels(np.moveaxis(deciles, 0, -1), levels)


def load() -> Toto:
    """Load the weights, from the disk if they are there."""
    require(("toto2", "torch"), model="toto", install="toto-2")
    import torch  # noqa: PLC0415 - not always installed
    from toto2 import Toto2Model  # noqa: PLC0415 - not always installed

    model = Toto2Model.from_pretrained(WEIGHTS).eval()
    return Toto(_Ungraded(model, torch), torch.from_numpy)


@dataclass(frozen=True, slots=True)
class _Ungraded:
    """The model without the bookkeeping of training, which arrays cannot be made of."""

    model: Any
    torch: Any

    def forecast(
        self, inputs: Mapping[str, Any], *, horizon: int, has_missing_values: bool
    ) -> Any:
        with self.torch.inference_mode():
            return self.model.forecast(
                dict(inputs), horizon=horizon, has_missing_values=has_missing_values
            )
