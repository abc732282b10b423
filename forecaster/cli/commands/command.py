"""The seam between the command line and its actions."""

from typing import Protocol

from forecaster.cli.asked import Asked
from forecaster.cli.output.result import Result
from forecaster.cli.progress import OnProgress
from forecaster.demand.demand import Demand


class Command(Protocol):
    """An action: what was asked and demand in, what was found out."""

    def __call__(self, asked: Asked, demand: Demand, on_progress: OnProgress, /) -> Result:
        """Answer; raise DemandError where that cannot be."""
        ...
