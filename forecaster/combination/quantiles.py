"""Quantiles of weighted errors, and what a quantile loses by them."""

import numpy as np

from forecaster.history import Floats


def weighted_quantiles(errors: Floats, weights: Floats, levels: Floats) -> Floats:
    """Return the quantiles of each column: columns x levels; `errors` is rows x columns.

    Gaps (NaN) do not count; a column of gaps gives NaN. Each error stands for the middle of its
    share of the weight.
    """
    order = np.argsort(errors, axis=0)  # NaN last
    ranked = np.take_along_axis(errors, order, axis=0)
    share = np.where(np.isfinite(ranked), weights[order], 0.0)
    summed = np.cumsum(share, axis=0)
    known = np.isfinite(ranked).sum(axis=0)
    result = np.full((errors.shape[1], levels.size), np.nan)
    for column, many in enumerate(known.tolist()):
        if many:
            middle = summed[:many, column] - 0.5 * share[:many, column]
            result[column] = np.interp(levels * summed[-1, column], middle, ranked[:many, column])
    return result


def quantiles_by_level(errors: Floats, weights: Floats, levels: Floats) -> Floats:
    """Return columns x levels of errors (rows x columns x levels), each level of its own errors.

    Where the last axis is one, all levels are of the same errors.
    """
    if errors.shape[-1] == 1:
        return weighted_quantiles(errors[..., 0], weights, levels)
    columns = [
        weighted_quantiles(errors[..., index], weights, levels[index : index + 1])
        for index in range(levels.size)
    ]
    return np.concatenate(columns, axis=-1)


def pinball(errors: Floats, levels: Floats) -> Floats:
    """Return what quantiles at these levels lose by errors: what came less the quantile."""
    return np.asarray(np.maximum(levels * errors, (levels - 1.0) * errors))


def mean_loss(errors: Floats, weights: Floats, levels: Floats) -> Floats:
    """Return the pinball loss of errors (what came less the quantile), averaged over the rows.

    `errors` is rows x columns x levels, the result columns x levels; NaN where nothing is known.
    """
    lost = pinball(errors, levels)
    known = np.isfinite(lost)
    weight = known * weights[:, None, None]
    with np.errstate(invalid="ignore"):
        total = (np.where(known, lost, 0.0) * weight).sum(axis=0)
        return np.asarray(total / np.where(weight.any(axis=0), weight.sum(axis=0), np.nan))
