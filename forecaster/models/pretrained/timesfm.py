"""TimesFM 2.5 of the package timesfm, as a foundation model.

Written after the interface that the package documents, and tested against a stand-in for it:
never run with real weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from forecaster.models.extras import require
from forecaster.models.model import Floats
from forecaster.models.pretrained.deciles import at_levels

WEIGHTS = "google/timesfm-2.5-200m-pytorch"

_CONTEXT, _HORIZON = 2048, 256  # steps that it is compiled for


class Forecaster(Protocol):
    """The part of `timesfm.TimesFM_2p5_200M_torch` that is used, once compiled."""

    def forecast(self, *, horizon: int, inputs: list[Floats]) -> tuple[Any, Any]:
        """Return the points, and series x steps x (mean and nine deciles)."""
        ...


@dataclass(frozen=True, slots=True)
class TimesFM:
    """A TimesFM model; its quantiles beyond .1 and .9 are the outermost that it has."""

    model: Forecaster
    name: str = "timesfm"
    context: int = _CONTEXT
    most: int = _HORIZON

    def quantiles(
        self, contexts: Sequence[Floats], horizon: int, levels: Sequence[float]
    ) -> Floats:
        """Continue each context: contexts x horizon x levels; the last step it can tell stays."""
        asked = min(horizon, self.most)
        _, told = self.model.forecast(horizon=asked, inputs=list(contexts))
        deciles = np.asarray(told, dtype=np.float64)[:, :asked, 1:]
        return at_levels(deciles, levels)[:, np.minimum(np.arange(horizon), asked - 1)]


def load() -> TimesFM:
    """Load and compile the model, from the disk if its weights are there."""
    require(("timesfm", "torch"), model="timesfm", install="timesfm[torch]")
    import timesfm  # noqa: PLC0415 - not always installed

    model = timesfm.TimesFM_2p5_200M_torch.from_pretrained(WEIGHTS)
    model.compile(
        timesfm.ForecastConfig(
            max_context=_CONTEXT,
            max_horizon=_HORIZON,
            normalize_inputs=True,
            use_continuous_quantile_head=True,
            fix_quantile_crossing=True,
        )
    )
    return TimesFM(model)
