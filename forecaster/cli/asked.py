"""What was asked on the command line, as values: before anything is read or imported."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from forecaster.cli.durations import Span

UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Source:
    """Where demand comes from, and which part of it is meant."""

    place: str  # a file, or the URL of a Prometheus
    query: str | None = None
    column: str | None = None
    step: float | None = None  # seconds
    counter: bool = False
    summed: bool = False
    tokens: bool = False
    mend: bool = True
    model: str | None = None
    region: str | None = None
    priority: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One command: where from, how far, and what of it."""

    source: Source
    season: float | None = None  # seconds
    history: float = 14 * 86_400.0  # seconds
    horizon: Span | None = None
    quantiles: tuple[float, ...] | None = None
    members: tuple[str, ...] | None = None
    siblings: Sequence[str] = ()  # files of like demands
    seed: int = 0
    zone: ZoneInfo = UTC
    calendar: Path | None = None
    lead: float | None = None  # seconds
    window: float | None = None  # seconds
    paths: int = 0
    origins: int = 48
    beta: float = 10.0
    card: Path | None = None
    picture: Path | None = None
    now: float = 0.0  # seconds since the epoch


def asked_of(arguments: argparse.Namespace, *, now: float) -> Asked:
    """Return what the arguments of any of the actions ask for."""
    given = vars(arguments)
    source = Source(
        place=arguments.prometheus if arguments.source is None else arguments.source,
        mend=not arguments.no_mend,
        **{name: given[name] for name in Source.__dataclass_fields__ if name in given},
    )
    names = set(Asked.__dataclass_fields__) - {"source", "now"}
    return Asked(
        source, now=now, **{name: given[name] for name in names if given.get(name) is not None}
    )
