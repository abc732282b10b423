"""Demand for a command: read from where it was asked, and mended unless that was declined."""

from forecaster.cli.asked import Asked
from forecaster.condition.condition import mended
from forecaster.demand.demand import REQUESTS, TOKENS, Demand
from forecaster.demand.sources import read_demand_of


def load(asked: Asked) -> Demand:
    """Read the demand; raise DemandError where that cannot be."""
    return _read(asked, asked.source.place, step=asked.source.step, query=asked.source.query)


def load_siblings(asked: Asked, demand: Demand) -> list[Demand]:
    """Read the like demands from their files, on the demand's step."""
    return [_read(asked, place, step=demand.step, query=None) for place in asked.siblings]


def prepared(asked: Asked, demand: Demand, *, season: int) -> Demand:
    """Return the demand without what tells nothing of the time to come, unless that is wanted.

    `season` is in steps.
    """
    return mended(demand, season=season) if asked.source.mend else demand


def _read(asked: Asked, place: str, *, step: float | None, query: str | None) -> Demand:
    source = asked.source
    return read_demand_of(
        place,
        step=step,
        column=source.column,
        query=query,
        model=source.model,
        region=source.region,
        priority=source.priority,
        is_counter=source.counter,
        is_summed=source.summed,
        unit=TOKENS if source.tokens else REQUESTS,
        end=asked.now,
        history_seconds=asked.history,
    )
