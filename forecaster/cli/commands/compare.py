"""`compare`: members, simple forecasts and reactive rules side by side, at the same origins."""

from forecaster.cli.asked import Asked
from forecaster.cli.comparison import chosen, compare_all
from forecaster.cli.forecasting import members_of
from forecaster.cli.output.result import Records, Result
from forecaster.cli.progress import OnProgress
from forecaster.cli.settings import settings_of
from forecaster.cli.tables.comparison import cost_table, loss_table
from forecaster.cli.trial import course_of
from forecaster.demand.demand import Demand


def compare(asked: Asked, demand: Demand, on_progress: OnProgress) -> Result:
    """Hold every way of forecasting against the combination."""
    course = course_of(asked, demand, settings_of(asked, demand))
    models = members_of(asked)
    compared = compare_all(asked, models, course, on_progress)
    choice = chosen(compared, {model.name for model in models})
    rows = [one.row for one in compared]
    return Result(
        [loss_table(compared, course), cost_table(compared, asked.beta, choice)],
        {
            "name": demand.name,
            "origins": int(course.origins.size),
            "horizon": course.settings.horizon_steps * demand.step,
            "beta": asked.beta,
            "lead": course.played.pool.lead,
            "window": course.played.pool.every,
            "choice": choice,
            "rows": rows,
            "repairs": list(demand.repairs),
        },
        Records({name: [row[name] for row in rows] for name in rows[0]}),
    )
