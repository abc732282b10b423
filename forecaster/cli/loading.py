"""Demand for a command: read from where it was asked, and mended unless that was declined."""

from forecaster.cli.asked import Asked
from forecaster.condition.condition import mended
from forecaster.demand.demand import REQUESTS, TOKENS, Demand
from forecaster.demand.sources import read_demand_of


def load(asked: Asked) -> Demand:
    """Read the demand; raise DemandError where that cannot be."""
    source = asked.source
    return read_demand_of(
        source.place,
        step=source.step,
        column=source.column,
        query=source.query,
        model=source.model,
        region=source.region,
        priority=source.priority,
        is_counter=source.counter,
        is_summed=source.summed,
        unit=TOKENS if source.tokens else REQUESTS,
        end=asked.now,
        history_seconds=asked.history,
    )


def prepared(asked: Asked, demand: Demand) -> Demand:
    """Return the demand without what tells nothing of the time to come, unless that is wanted."""
    return mended(demand) if asked.source.mend else demand
