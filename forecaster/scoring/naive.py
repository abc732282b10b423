"""The two forecasts that every other must beat: the day before, and the last value.

Their quantiles are those of their own past errors on the root scale, known by the origin.
"""

from collections.abc import Sequence

import numpy as np

from forecaster.history import Floats, History

_ERRORS = 500  # past origins that the last value is judged at, spread over the history


def yesterday(history: History, horizon: int, levels: Sequence[float]) -> Floats:
    """Return quantiles of rates, horizon x levels, around those a season before; NaN without one.

    Where that step is a gap, the season before it counts, and so on.
    """
    repeated = _repeated(history, horizon)
    errors = history.values[history.season :] - history.values[: -history.season]
    return _around(repeated, _quantiles(errors[:, None], levels))


def last_value(history: History, horizon: int, levels: Sequence[float]) -> Floats:
    """Return quantiles of rates, horizon x levels, around the last value known."""
    ahead = np.arange(1, horizon + 1)
    origins = np.linspace(0, history.size - 2, min(_ERRORS, history.size - 1)).astype(np.int64)
    errors = history.after(origins, ahead) - history.filled[origins, None]
    return _around(np.full(horizon, history.filled[-1]), _quantiles(errors, levels))


def _repeated(history: History, horizon: int) -> Floats:
    """Return the latest season, gaps in it filled from the ones before, over the horizon."""
    seasons = history.size // history.season
    if not seasons:
        return np.full(horizon, np.nan)
    rows = history.values[-seasons * history.season :].reshape(seasons, history.season)
    season = rows[-1]
    for row in rows[::-1]:
        season = np.where(np.isfinite(season), season, row)
    return np.asarray(season[np.arange(horizon) % history.season])


def _quantiles(errors: Floats, levels: Sequence[float]) -> Floats:
    """Return quantiles of each column's known errors, columns x levels; NaN of none."""
    columns = [column[np.isfinite(column)] for column in errors.T]
    return np.array(
        [
            np.quantile(column, levels) if column.size else np.full(len(levels), np.nan)
            for column in columns
        ]
    )


def _around(roots: Floats, errors: Floats) -> Floats:
    return np.asarray(np.maximum(roots[:, None] + errors, 0.0) ** 2)
