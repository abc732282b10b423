"""Everybody's forecasts at the same origins: Warmfront's, its members', the naive's, peers'."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forecaster import roster
from forecasting import ours
from forecasting.losses import NAIVE, Results, daily_naive
from forecasting.peers import PEERS, Peers, ask_peers
from forecasting.tested import Floats, Indices, Tested

OURS = "Warmfront"
MASKED = "Warmfront, demand missing"
QUICK_ORIGINS = 8

_Origins = Sequence[tuple[Tested, Indices]]


@dataclass(frozen=True)
class Gathered:
    """Forecasts of each series, what each subject's cost in CPU seconds, and who gave none."""

    results: Sequence[Results]
    seconds: Mapping[str, Floats]  # by subject, one for each forecast
    members: Sequence[str]  # subjects that are Warmfront's members, each alone
    peers: Sequence[str]
    missing: Mapping[str, str]
    versions: Mapping[str, str]  # of the peers' libraries


def gather(tested: Sequence[Tested], *, horizon: int, options: Namespace) -> Gathered:
    """Forecast every series at random origins by everybody."""
    count = QUICK_ORIGINS if options.quick else options.origins
    at = [(one, one.origins(count, horizon=horizon, seed=options.seed)) for one in tested]
    own, seconds = _own(at, horizon, options.seed)
    peers = ask_peers(
        at,
        [peer for peer in PEERS if not (options.quick and peer.is_slow)],
        horizon=horizon,
        python=options.peer_python,
        keep=Path(options.keep) if options.keep else None,
    )
    results = [
        Results(
            series,
            origins,
            series.after(origins, horizon=horizon),
            {
                **own[number],
                NAIVE: _naive(series, origins, horizon),
                **{
                    who: one.values
                    for (who, of), one in peers.answers.items()
                    if of == series.name
                },
            },
        )
        for number, (series, origins) in enumerate(at)
    ]
    answered = list(dict.fromkeys(who for who, _ in peers.answers))
    members = [name for name in seconds if name not in {OURS, MASKED}]
    spent = seconds | {who: _spent(peers, who) for who in answered}
    return Gathered(results, spent, members, answered, peers.missing, peers.versions)


def _own(
    at: _Origins, horizon: int, seed: int
) -> tuple[list[dict[str, Floats]], dict[str, Floats]]:
    """Return Warmfront's forecasts by series and subject, and their CPU seconds by subject."""
    kinds = {
        OURS: {},
        MASKED: {"masked": seed},
        **{f"member {model.name}": {"member": model.name} for model in roster.cheap()},
    }
    tasks = [
        ours.Task(number, int(origin), **kind)
        for kind in kinds.values()
        for number, (_, origins) in enumerate(at)
        for origin in origins
    ]
    made = iter(ours.forecast_all([series for series, _ in at], tasks, horizon=horizon))
    values: list[dict[str, Floats]] = [{} for _ in at]
    seconds: dict[str, list[float]] = {}
    for name in kinds:
        for number, (_, origins) in enumerate(at):
            here = [one for one in [next(made) for _ in origins] if one is not None]
            if len(here) == origins.size:
                values[number][name] = np.array([one.values for one in here])
                seconds.setdefault(name, []).extend(one.seconds for one in here)
    return values, {name: np.array(spent) for name, spent in seconds.items()}


def _naive(series: Tested, origins: Indices, horizon: int) -> Floats:
    filled = series.filled
    return np.array([daily_naive(series, filled, int(origin), horizon) for origin in origins])


def _spent(peers: Peers, who: str) -> Floats:
    return np.concatenate([one.seconds for (name, _), one in peers.answers.items() if name == who])
