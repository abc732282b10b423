"""The seam between models and everything else: a history in, paths or quantiles out."""

from typing import Protocol

from forecaster.history import Floats, History, Indices

__all__ = ["Fitted", "Floats", "Indices", "Model"]

PATH = (0.5,)  # the levels of a model that expects a path alone


class Fitted(Protocol):
    """A model that has seen a history, and can be asked at any origin within it."""

    @property
    def levels(self) -> tuple[float, ...]:
        """Quantile levels that `paths` tells: `PATH`, or several that rise."""
        ...

    def paths(self, origins: Indices, horizons: Indices) -> Floats:
        """Return the root of the rate expected: origins x horizons x levels, never NaN.

        An origin is the index of the last step that may be looked at; horizons count from it,
        the next step is 1. The parameters may come from the whole history: a model with so many
        that it could learn an origin's own future by heart must leave that part out.
        """
        ...


class Model(Protocol):
    """A way to expect demand from its history."""

    @property
    def name(self) -> str:
        """Short name for tables and labels."""
        ...

    def can_fit(self, history: History) -> bool:
        """Tell whether the history is long enough for this model to say more than others."""
        ...

    def fit(self, history: History) -> Fitted:
        """Learn from the history."""
        ...
