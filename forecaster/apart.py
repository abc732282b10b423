"""Large tenants forecast apart: each on its own, the rest together, and then the sum of both."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from forecaster.demand.demand import Demand, DemandError
from forecaster.forecast import Forecast
from forecaster.pipeline import ForecastSettings, Member, Outcome, make_forecast
from forecaster.scenarios import Floats, Scenarios
from telemetry.series import Series

LARGE = 1.0 / 3.0  # of the traffic of the last day
JOINT_PATHS = 1000  # that the quantiles of the sum are read from

Make = Callable[[Demand, ForecastSettings], Outcome | None]


def forecast_apart(
    total: Demand,
    parts: Sequence[Demand],
    settings: ForecastSettings,
    *,
    make: Make = make_forecast,
    share: float = LARGE,
    seed: int = 0,
) -> Outcome | None:
    """Forecast `total` as the sum of its large `parts` and of what is left of it.

    Quantiles do not add, so paths are added. Where all pieces follow the same past origins, path
    by path, high demand of one meets what the others did at that time, and the scenarios name
    those rows; otherwise the pieces are taken to be independent, and no rows are named. Without a
    part above `share` of the last day, or with a piece that cannot be forecast, the total is
    forecast as it is.
    """
    large = large_parts(total, parts, last=settings.season_steps, share=share)
    if not large:
        return make(total, settings)
    drawn = replace(settings, paths=max(settings.paths, JOINT_PATHS))
    pieces = [*large, rest(total, large)]
    outcomes = [outcome for piece in pieces if (outcome := make(piece, drawn)) is not None]
    paths = [one.forecast.scenarios for one in outcomes if one.forecast.scenarios is not None]
    if len(paths) < len(pieces):
        return make(total, settings)
    together = add(paths, np.random.default_rng(seed))
    members = _members([piece.name for piece in pieces], outcomes)
    forecast = _forecast(total, outcomes, together, settings)
    return Outcome(replace(forecast, weights={one.name: one.weight for one in members}), members)


def large_parts(
    total: Demand, parts: Sequence[Demand], *, last: int, share: float = LARGE
) -> list[Demand]:
    """Return the parts above this share of the total in the `last` steps where both are known."""
    for part in parts:
        if part.window != total.window:
            raise DemandError(
                f"expected {part.name!r} on the grid of {total.name!r}, {total.window}, "
                f"but it is on {part.window}: bring both onto one grid first"
            )
    return [part for part in parts if _share(part, total, last) > share]


def rest(total: Demand, parts: Sequence[Demand]) -> Demand:
    """Return what is left of the total without the parts: a gap where one has a gap."""
    flags = [one.ignored for one in (total, *parts) if one.ignored is not None]
    return replace(
        total,
        name="rest",
        rate=_less(total.rate, [part.rate for part in parts]),
        input_tokens=_left(total.input_tokens, [part.input_tokens for part in parts]),
        output_tokens=_left(total.output_tokens, [part.output_tokens for part in parts]),
        ignored=np.any(flags, axis=0) if flags else None,
    )


def add(pieces: Sequence[Scenarios], generator: np.random.Generator) -> Scenarios:
    """Add scenarios of the same steps: path by path if they follow the same rows, else at random.

    Lengths are the mean over all requests; where one piece has none, the sum has none.
    """
    first = pieces[0]
    shared = all(
        first.rows is not None and one.rows is not None and np.array_equal(first.rows, one.rows)
        for one in pieces
    )
    if not shared:
        pieces = [one.chosen(generator.permutation(one.count)) for one in pieces]
    rates = np.stack([one.rate for one in pieces])
    return Scenarios(
        rates.sum(axis=0),
        _mean([one.input_tokens for one in pieces], rates),
        _mean([one.output_tokens for one in pieces], rates),
        first.rows if shared else None,
    )


def _left(whole: Series | None, taken: Sequence[Series | None]) -> Series | None:
    known = [one for one in taken if one is not None]
    return None if whole is None or len(known) < len(taken) else _less(whole, known)


def _less(whole: Series, taken: Sequence[Series]) -> Series:
    summed = np.sum([one.values for one in taken], axis=0)
    return replace(whole, values=np.maximum(whole.values - summed, 0.0))


def _mean(lengths: Sequence[Floats | None], rates: Floats) -> Floats | None:
    """Return the mean weighed by rates, where all are known."""
    known = [one for one in lengths if one is not None]
    if len(known) < len(lengths):
        return None
    weights = np.maximum(rates, np.finfo(np.float64).tiny)  # no requests: as long as each other
    return np.asarray(np.average(known, axis=0, weights=weights))


def _share(part: Demand, total: Demand, last: int) -> float:
    mine, whole = part.rate.values[-last:], total.rate.values[-last:]
    known = np.isfinite(mine) & np.isfinite(whole)
    of = float(whole[known].sum())
    return float(mine[known].sum()) / of if of > 0 else 0.0


def _forecast(
    total: Demand, pieces: Sequence[Outcome], together: Scenarios, settings: ForecastSettings
) -> Forecast:
    """Return the forecast of the sum, its quantiles read from the paths."""
    forecasts = [piece.forecast for piece in pieces]
    # Paths stand for the middles of equal shares, as they were drawn: the Hazen rule.
    values = np.quantile(together.rate, settings.quantiles, axis=0, method="hazen").T
    return replace(
        forecasts[0],
        values=np.asarray(values),
        model="apart",
        residuals=min(one.residuals for one in forecasts),
        unit=total.unit,
        scenarios=together.thinned(settings.paths) if settings.paths else None,
        calibration=None,
        doubts=tuple(sorted({doubt for one in forecasts for doubt in one.doubts})),
    )


def _members(names: Sequence[str], pieces: Sequence[Outcome]) -> tuple[Member, ...]:
    """Return the members of all pieces, each weighing as much as its piece is of the sum."""
    sizes = np.array([piece.forecast.at_quantile(0.5).sum() for piece in pieces])
    shares = sizes / sizes.sum() if sizes.sum() > 0 else np.full(len(pieces), 1.0 / len(pieces))
    members = [
        replace(
            member,
            name=f"{name}: {member.name}",
            weight=float(share * member.weight),
            weights=tuple(float(share * weight) for weight in member.weights),
        )
        for name, share, piece in zip(names, shares, pieces, strict=True)
        for member in piece.members
    ]
    return tuple(sorted(members, key=lambda member: -member.weight))
