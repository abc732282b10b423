"""`backtest`: forecasts made again at past origins, scored, and what a warm pool paid by them."""

import numpy as np

from forecaster.cli.asked import Asked
from forecaster.cli.documents import member_documents
from forecaster.cli.forecasting import members_of, past_maker
from forecaster.cli.loading import load_siblings
from forecaster.cli.output.result import Records, Result
from forecaster.cli.paid import Paid, paid_in
from forecaster.cli.progress import OnProgress
from forecaster.cli.scored import Scored, scored_of
from forecaster.cli.settings import settings_of
from forecaster.cli.tables.members import member_table
from forecaster.cli.tables.pool import pool_sentence
from forecaster.cli.tables.scores import score_table
from forecaster.cli.trial import COMBINATION, Course, Trial, course_of, run_trial
from forecaster.demand.demand import Demand


def backtest(asked: Asked, demand: Demand, on_progress: OnProgress) -> Result:
    """Forecast again at past origins and score it."""
    course = course_of(asked, demand, settings_of(asked, demand))
    make = past_maker(asked, members_of(asked), load_siblings(asked, demand))
    trial = run_trial(COMBINATION, make, course, on_progress)
    scored = scored_of(trial, np.random.default_rng(asked.seed))
    paid = paid_in(trial, course, asked.beta)
    rows = [one.row for one in scored]
    return Result(
        [
            score_table(scored, demand.name, int(course.origins.size)),
            pool_sentence(paid),
            member_table(trial.backtest.members),
        ],
        _document(course, trial, scored, paid),
        Records({name: [row[name] for row in rows] for name in rows[0]}),
    )


def _document(course: Course, trial: Trial, scored: list[Scored], paid: Paid) -> dict[str, object]:
    return {
        "name": course.demand.name,
        "unit": course.demand.unit,
        "step": course.demand.step,
        "horizon": course.settings.horizon_steps * course.demand.step,
        "origins": int(course.origins.size),
        "declined": trial.backtest.declined,
        "scores": [one.row for one in scored],
        "pool": paid.document,
        "members": member_documents(trial.backtest.members),
        "repairs": list(course.demand.repairs),
    }
