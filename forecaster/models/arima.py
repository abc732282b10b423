"""ARIMA around waves of the day, by statsmodels: fitted once, then filtered up to each origin.

The history is averaged over blocks of a few minutes, which loses little of what is known and
spares most of the work. Blocks end at the origin, whichever step of the grid that is.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import structlog

from forecaster.history import History
from forecaster.models.fitting import quietly
from forecaster.models.model import PATH, Floats, Indices

_log = structlog.get_logger(__name__)

_BLOCK_MINUTES = 5.0
_FITTED_SEASONS = 5
_LEAST_SEASONS = 2
_LEAST_BLOCKS = 48
_MOST_ITERATIONS = 20
_STILL = 1e-9  # of the scale: values that vary less are one value

Order = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Arima:
    """Expects the waves of the day, and of the latest departure from them what usually stays."""

    name: str = "arima"
    order: Order = (2, 1, 1)
    waves: int = 3  # the slowest takes a day, the next half of one

    def can_fit(self, history: History) -> bool:
        """Tell whether there are two whole seasons, and blocks enough to learn from."""
        blocks = history.size // history.steps(_BLOCK_MINUTES)
        return history.size >= _LEAST_SEASONS * history.season and blocks >= _LEAST_BLOCKS

    def fit(self, history: History) -> "FittedArima":
        """Learn the waves from the latest seasons, then how departures from them last."""
        block = min(history.steps(_BLOCK_MINUTES), max(1, history.season // (4 * self.waves)))
        grid = Grid(history, block, self.waves)
        count = -(-_FITTED_SEASONS * history.season // block)
        ends = grid.ends(history.size - 1)[-count:]
        means, waves = grid.means[ends], grid.waves_at(grid.middles(ends))
        known = np.isfinite(means)
        still = _STILL * float(means.max(initial=0.0, where=known))
        if known.sum() < _LEAST_BLOCKS or np.ptp(means[known]) <= still:
            return FittedArima(grid)
        solution = np.linalg.lstsq(waves[known], means[known], rcond=None)[0]
        weights = np.asarray(solution, dtype=np.float64)
        departures = means - waves @ weights
        scale = max(still, float(np.sqrt(np.mean(departures[known] ** 2))))
        fitted = _fit(departures / scale, self.order)
        return FittedArima(grid, None if fitted is None else Parameters(weights, scale, *fitted))


@dataclass(frozen=True)
class Grid:
    """A history in blocks of `block` steps, which may end at any step."""

    history: History
    block: int
    waves: int

    @cached_property
    def means(self) -> Floats:
        """The mean of what is known in the block up to each step; NaN where nothing is."""
        sums, counts = self.history.sums
        ends = np.arange(1, self.history.size + 1)
        begins = np.maximum(ends - self.block, 0)
        known = counts[ends] - counts[begins]
        mean = (sums[ends] - sums[begins]) / np.maximum(known, 1)
        return np.asarray(np.where(known > 0, mean, np.nan))

    def ends(self, last: int) -> Indices:
        """Return the last step of each block, where one ends at `last`."""
        return np.arange((last + 1) % self.block + self.block - 1, last + 1, self.block)

    def middles(self, ends: Indices) -> Floats:
        """Return the middle of blocks, in steps."""
        return np.asarray(ends - (self.block - 1) / 2.0, dtype=np.float64)

    def waves_at(self, steps: Floats) -> Floats:
        """Return one, and sines and cosines of the time of day, along a last axis."""
        first = round(self.history.end / self.history.step) - self.history.size + 1
        turns = ((first + steps) % self.history.season) / self.history.season
        angles = 2.0 * np.pi * turns[..., None] * np.arange(1, self.waves + 1)
        ones = np.ones((*steps.shape, 1))
        return np.concatenate([ones, np.sin(angles), np.cos(angles)], axis=-1)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Weights of the waves, and the ARIMA of the departures from them, which are of `scale`."""

    weights: Floats
    scale: float
    order: Order
    arima: Floats


@dataclass(frozen=True, slots=True)
class FittedArima:
    """Parameters, and a history to apply them to; without any, the last value stays."""

    grid: Grid
    parameters: Parameters | None = None
    levels: tuple[float, ...] = PATH
    _departures: "dict[int, _Departures]" = field(default_factory=dict)

    def at(self, history: History) -> "FittedArima":
        """Return the same parameters applied to another history on the same grid."""
        return replace(self, grid=replace(self.grid, history=history), _departures={})

    def paths(self, origins: Indices, horizons: Indices) -> Floats:
        """Return the waves, and on them what the blocks up to each origin lead to."""
        path = np.repeat(self.grid.history.filled[origins][:, None], horizons.size, axis=1)
        if self.parameters is not None:
            block = self.grid.block
            for phase in np.unique(origins % block).tolist():
                chosen = (origins % block == phase) & (origins >= block - 1)
                if chosen.any():
                    path[chosen] = self._path(phase, origins[chosen], horizons, self.parameters)
        return np.maximum(path, 0.0)[..., None]

    def _path(
        self, phase: int, origins: Indices, horizons: Indices, parameters: Parameters
    ) -> Floats:
        if phase not in self._departures:
            self._departures[phase] = _filtered(self.grid, phase, parameters)
        steps = (origins[:, None] + horizons).astype(np.float64)
        waves = self.grid.waves_at(steps) @ parameters.weights
        departures = self._departures[phase].paths(origins, horizons, self.grid.block)
        return np.asarray(waves + parameters.scale * departures)


@dataclass(frozen=True, slots=True)
class _Departures:
    """The filtered state after each block, and how a state goes on."""

    states: Floats  # blocks x states
    first: int  # the step that the first block ends at
    design: Floats
    transition: Floats

    def paths(self, origins: Indices, horizons: Indices, block: int) -> Floats:
        blocks = 1 + -(-(int(horizons.max()) + block // 2) // block)
        rows = [self.design]
        for _ in range(blocks):
            rows.append(rows[-1] @ self.transition)
        means = self.states[(origins - self.first) // block] @ np.stack(rows).T
        # a mean is what is expected in the middle of its block; the first ends at the origin
        at = (horizons + (block - 1) / 2.0) / block
        before = np.floor(at).astype(np.int64)
        return means[:, before] * (1.0 - (at - before)) + means[:, before + 1] * (at - before)


def _filtered(grid: Grid, phase: int, parameters: Parameters) -> _Departures:
    """Return the states of the blocks that end at steps of this phase; a gap leaves them as is."""
    last = grid.history.size - 1 - (grid.history.size - 1 - phase) % grid.block
    ends = grid.ends(last)
    departures = grid.means[ends] - grid.waves_at(grid.middles(ends)) @ parameters.weights
    model = _model(departures / parameters.scale, parameters.order)
    result = model.filter(parameters.arima, return_ssm=True)
    return _Departures(
        result.filtered_state.T.copy(),
        int(ends[0]),
        result.design[0, :, 0].copy(),
        result.transition[..., 0].copy(),
    )


def _fit(departures: Floats, order: Order) -> tuple[Order, Floats] | None:
    """Return the order and parameters most likely to lead to the departures; None if none do."""
    model = _model(departures, order)
    fit = partial(model.fit, disp=0, maxiter=_MOST_ITERATIONS, cov_type="none")
    try:
        return order, np.asarray(quietly(fit, "arima").params)
    except (np.linalg.LinAlgError, ValueError) as error:
        _log.info("not fitted", model="arima", error=str(error))
        return None


def _model(departures: Floats, order: Order) -> Any:
    # Imported here: it takes seconds, and only this function needs it.
    from statsmodels.tsa.statespace.sarimax import SARIMAX  # noqa: PLC0415

    return SARIMAX(departures, order=order, concentrate_scale=True)
