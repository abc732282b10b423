"""Scales: how large errors are to be expected, at each origin and horizon.

Three kinds: as restless as demand is now, as restless as it always is, and what a regression on
both, the level and the time of day makes of them. Which holds is left to the errors.
"""

from dataclasses import dataclass

import numpy as np

from forecaster.combination.asking import Past
from forecaster.history import Floats, History
from forecaster.models.profile import profile_of
from forecaster.smoothed import smoothed

_LEVEL_MINUTES = 15.0
_MEMORIES_MINUTES = (10.0, 42.0, 180.0)
_LOCAL = 1  # the memory that is the local scale
_FLOOR = 0.02  # of the mean level: nothing is ever quite still
_SHRINKING = 0.05  # of the regression, against its features' own weight
_LEAST_SEASONS = 2.0  # for a profile of restlessness


@dataclass(frozen=True, slots=True)
class Restlessness:
    """How far demand has lately been from its level: one value per step of the history."""

    memories: tuple[Floats, ...]  # short to long
    level: Floats
    errors: Floats  # NaN where nothing is known
    floor: float

    @property
    def local(self) -> Floats:
        """How restless demand is now."""
        return self.memories[_LOCAL]


def restlessness(history: History) -> Restlessness:
    """Measure how far each step was from the level before it."""
    level = history.mean(history.steps(_LEVEL_MINUTES))
    errors = np.abs(history.values - level)
    floor = _FLOOR * float(np.nanmean(history.values)) + 1e-6
    memories = (smoothed(errors, history.steps(one)) + floor for one in _MEMORIES_MINUTES)
    return Restlessness(tuple(memories), level, errors, floor)


def scales(history: History, past: Past, centre: Floats) -> Floats:
    """Return the kinds of scale: kinds x origins x horizons, all above zero.

    `centre` is the path expected, origins x horizons.
    """
    rest = restlessness(history)
    local = rest.local[past.origins]
    steady = np.full(past.count, float(local.mean()))
    kinds = [np.broadcast_to(kind[:, None], centre.shape) for kind in (local, steady)]
    return np.stack([*kinds, _regressed(history, rest, past, centre)])


def _regressed(history: History, rest: Restlessness, past: Past, centre: Floats) -> Floats:
    """Return how large errors are expected to be by a ridge regression of their logarithm."""
    features = _features(history, rest, past)
    errors = np.log(np.abs(past.actual - centre) + rest.floor)
    weights = np.where(np.isfinite(errors), past.recency[:, None], 0.0)
    weighted = features * weights[..., None]
    gram = np.einsum("thp,thq->hpq", weighted, features)
    moment = np.einsum("thp,th->hp", weighted, np.nan_to_num(errors))
    size = features.shape[-1]
    ridge = _SHRINKING * np.trace(gram, axis1=1, axis2=2) / size + 1e-9
    free = np.eye(size)
    free[0, 0] = 0.0  # how large errors are on the whole is not shrunk
    found = np.linalg.solve(
        gram + ridge[:, None, None] * free + 1e-9 * np.eye(size), moment[..., None]
    )
    return np.asarray(np.exp(np.einsum("thp,hp->th", features, found[..., 0])))


def _features(history: History, rest: Restlessness, past: Past) -> Floats:
    known = [np.log(one[past.origins]) for one in rest.memories]
    known.append(np.log(rest.level[past.origins] + rest.floor))
    columns = [np.broadcast_to(_centred(one)[:, None], past.actual.shape) for one in known]
    if history.size > _LEAST_SEASONS * history.season:
        columns.append(_centred(np.log(_usual(history, rest, past) + rest.floor)))
    return np.stack([np.ones(past.actual.shape), *columns], axis=-1)


def _usual(history: History, rest: Restlessness, past: Past) -> Floats:
    """Return how restless demand usually is at the time of each target."""
    errors = History(rest.errors, history.step, history.season)
    ahead = int(past.horizons[-1])
    profile = profile_of(errors, lag=history.season, count=7, ahead=ahead)
    found = profile.at(past.origins, past.horizons)
    return np.where(np.isfinite(found), found, rest.local[past.origins][:, None])


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean())
