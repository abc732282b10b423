"""`describe`: what demand is like, in sentences."""

from rich.text import Text

from forecaster.cli.asked import Asked
from forecaster.cli.forecasting import maker, members_of
from forecaster.cli.output.result import Records, Result
from forecaster.cli.progress import OnProgress
from forecaster.cli.settings import settings_of
from forecaster.demand.demand import Demand
from forecaster.describing.describe import describe as measured


def describe(asked: Asked, demand: Demand, on_progress: OnProgress) -> Result:
    """Measure the demand and say what was found."""
    found = measured(
        demand,
        settings_of(asked, demand),
        make=maker(asked, members_of(asked)),
        origins=asked.origins,
        seed=asked.seed,
        mend=asked.source.mend,
        on_progress=on_progress,
    )
    return Result(
        [Text("\n".join(found.sentences))],
        {"name": demand.name, **found.as_json()},
        Records({"sentence": list(found.sentences)}),
    )
