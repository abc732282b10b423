"""Chronos-Bolt and Chronos-2 of the package chronos-forecasting, as a foundation model.

Written after the interface that the package documents, and tested against a stand-in for it:
never run with real weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from forecaster.models.extras import require
from forecaster.models.model import Floats

WEIGHTS = "amazon/chronos-bolt-small"  # a folder will do as well


class Pipeline(Protocol):
    """The part of `chronos.BaseChronosPipeline` that is used."""

    def predict_quantiles(
        self, inputs: list[Any], *, prediction_length: int, quantile_levels: list[float]
    ) -> tuple[Any, Any]:
        """Return quantiles, each series x steps x levels, and means."""
        ...


@dataclass(frozen=True, slots=True)
class Chronos:
    """A Chronos pipeline; its quantiles beyond .1 and .9 are the outermost that it has."""

    pipeline: Pipeline
    tensor: Any = np.asarray  # makes what the pipeline takes of an array
    name: str = "chronos"
    context: int = 2048

    def quantiles(
        self, contexts: Sequence[Floats], horizon: int, levels: Sequence[float]
    ) -> Floats:
        """Continue each context: contexts x horizon x levels."""
        inputs = [self.tensor(context.astype(np.float32)) for context in contexts]
        told, _ = self.pipeline.predict_quantiles(
            inputs, prediction_length=horizon, quantile_levels=list(levels)
        )
        # Chronos-2 gives a list with an axis for variates, Bolt one array without
        shape = (horizon, len(levels))
        return np.stack([np.asarray(one, dtype=np.float64).reshape(shape) for one in told])


def load() -> Chronos:
    """Load the weights, from the disk if they are there."""
    require(("chronos", "torch"), model="chronos", install="chronos-forecasting")
    import torch  # noqa: PLC0415 - not always installed
    from chronos import BaseChronosPipeline  # noqa: PLC0415 - not always installed

    pipeline = BaseChronosPipeline.from_pretrained(WEIGHTS, device_map="cpu")
    return Chronos(pipeline, torch.from_numpy)
