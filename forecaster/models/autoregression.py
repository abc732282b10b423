"""A direct seasonal autoregression: one robust ridge regression for each horizon.

Levels of the last minutes and profiles of earlier days expect the root of the rate, as a
difference from its 15-minute mean: shrunk to nothing, the regression is that mean.
"""

from dataclasses import dataclass, field

import numpy as np

from forecaster.history import History
from forecaster.models.model import PATH, Floats, Indices
from forecaster.models.profile import Profile, profile_of

_LEVELS_MINUTES = (1.0, 5.0, 60.0)
_BASE_MINUTES = 15.0
_SPACING_MINUTES = 11.0  # of the origins learnt from: no divisor of an hour, so all minutes count
_RIDGE = 3.0  # in origins: as if so many had shown that the mean stays
_HUBER = 1.5  # errors beyond so many standard ones count by their root
_NORMAL = 1.4826  # standard deviations in a median of absolute errors, were they normal
_LEAST_SEASONS = 1.2
_DAYS, _WEEK = 7, 7


@dataclass(frozen=True, slots=True)
class Autoregression:
    """Expects what levels and profiles say together, learnt anew for each horizon.

    What is older by `memory` days counts half as much.
    """

    memory: float = 10.0
    name: str = "seasonal autoregression"

    def can_fit(self, history: History) -> bool:
        """Tell whether there is a day for a profile, and some more to learn from."""
        return history.size >= _LEAST_SEASONS * history.season and _origins(history).size > 0

    def fit(self, history: History) -> "_Fitted":
        """Learn when asked for horizons."""
        return _Fitted(history, self.memory)


@dataclass(frozen=True, slots=True)
class _Fitted:
    """The regression leaves out the season that an origin is in, so that it is honest there."""

    history: History
    memory: float
    levels: tuple[float, ...] = PATH
    _learnt: "dict[tuple[int, ...], _Learnt]" = field(default_factory=dict)

    def paths(self, origins: Indices, horizons: Indices) -> Floats:
        key = tuple(horizons.tolist())
        if key not in self._learnt:
            self._learnt[key] = _learn(self.history, horizons, self.memory)
        return self._learnt[key].paths(self.history, origins, horizons)[..., None]


@dataclass(frozen=True, slots=True)
class _Learnt:
    coefficients: Floats  # folds x horizons x features; the last fold leaves nothing out
    profiles: tuple[Profile, ...]

    def paths(self, history: History, origins: Indices, horizons: Indices) -> Floats:
        base, features = _features(history, self.profiles, origins, horizons)
        folds = _folds(history, origins, len(self.coefficients) - 1)
        chosen = self.coefficients[folds[:, None], np.arange(horizons.size)]
        path = base[:, None] + np.einsum("thp,thp->th", features, chosen)
        return np.asarray(np.maximum(path, 0.0))


def _learn(history: History, horizons: Indices, memory: float) -> _Learnt:
    profiles = _profiles(history, ahead=int(horizons.max()))
    origins = _origins(history)
    base, features = _features(history, profiles, origins, horizons)
    target = history.after(origins, horizons) - base[:, None]
    age = (history.size - 1 - origins) / history.season
    weights = np.where(np.isfinite(target), 0.5 ** (age / memory)[:, None], 0.0)
    target = np.nan_to_num(target)
    folds = _seasons(history, origins)
    coefficients = _solve(features, target, weights, folds)
    errors = target - np.einsum("thp,hp->th", features, coefficients[-1])
    return _Learnt(_solve(features, target, weights * _huber(errors, weights), folds), profiles)


def _huber(errors: Floats, weights: Floats) -> Floats:
    """Return the weight of each error: less than one beyond what most of them reach."""
    ranked = np.sort(np.where(weights > 0, np.abs(errors), np.inf), axis=0)
    middle = (weights > 0).sum(axis=0) // 2
    usual = ranked[middle, np.arange(middle.size)]
    beyond = np.abs(errors) / np.maximum(_HUBER * _NORMAL * usual, 1e-12)
    return np.asarray(1.0 / np.maximum(beyond, 1.0))


def _solve(features: Floats, target: Floats, weights: Floats, folds: Indices) -> Floats:
    """Return the coefficients that leave out each fold, and, last, none."""
    grams, moments = [], []
    for fold in range(int(folds.max()) + 1):
        part = folds == fold
        weighted = (features[part] * weights[part][..., None]).transpose(1, 2, 0)
        grams.append(weighted @ features[part].transpose(1, 0, 2))
        moments.append((weighted @ target[part].T[..., None])[..., 0])
    gram, moment = np.stack(grams), np.stack(moments)
    gram = np.concatenate([gram.sum(axis=0) - gram, gram.sum(axis=0)[None]])
    moment = np.concatenate([moment.sum(axis=0) - moment, moment.sum(axis=0)[None]])
    scale = np.diagonal(gram, axis1=-2, axis2=-1) / np.maximum(gram[..., :1, 0], 1e-12)
    penalty = _RIDGE * scale + 1e-9
    ridge = gram + penalty[..., None] * np.eye(gram.shape[-1])
    return np.asarray(np.linalg.solve(ridge, moment[..., None])[..., 0])


def _origins(history: History) -> Indices:
    """Return the origins learnt from, oldest first; the first day has no profile."""
    spacing = history.steps(_SPACING_MINUTES)
    first = min(history.season, history.size // 2)
    return np.arange(history.size - 2, first, -spacing)[::-1].copy()


def _seasons(history: History, origins: Indices) -> Indices:
    """Number the seasons from the end of the history."""
    return (history.size - 1 - origins) // history.season


def _folds(history: History, origins: Indices, learnt: int) -> Indices:
    """Return which fold leaves out each origin, of so many seasons that were learnt from.

    One at the end, and one before them all, has nothing to leave out.
    """
    seasons = _seasons(history, origins)
    return np.where((origins >= history.size - 1) | (seasons >= learnt), -1, seasons)


def _profiles(history: History, *, ahead: int) -> tuple[Profile, ...]:
    daily = profile_of(history, lag=history.season, count=_DAYS, ahead=ahead)
    if history.size <= (_WEEK + 1) * history.season:
        return (daily,)
    return daily, profile_of(history, lag=_WEEK * history.season, count=2, ahead=ahead)


def _features(
    history: History, profiles: tuple[Profile, ...], origins: Indices, horizons: Indices
) -> tuple[Floats, Floats]:
    """Return the base of each origin, and the features: origins x horizons x features."""
    base = history.mean(history.steps(_BASE_MINUTES))[origins]
    columns = [np.ones(base.size)]
    columns += [history.mean(history.steps(m))[origins] - base for m in _LEVELS_MINUTES]
    now = np.zeros(1, dtype=np.int64)
    shape = (origins.size, horizons.size)
    wide = []
    for profile in profiles:
        today = profile.at(origins, now)
        columns.append(np.nan_to_num(today[:, 0] - base))
        wide.append(np.nan_to_num(profile.at(origins, horizons) - today))
    level = [np.broadcast_to(column[:, None], shape) for column in columns]
    return base, np.stack([*level, *wide], axis=-1)
