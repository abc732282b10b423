"""`plot`: demand, the fan of what may follow it, and how reliable such fans have been."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rich.text import Text

from forecaster.cli.asked import Asked
from forecaster.cli.forecasting import forecast_of, members_of, past_maker
from forecaster.cli.loading import prepared
from forecaster.cli.output.result import Result
from forecaster.cli.progress import OnProgress
from forecaster.cli.settings import settings_of
from forecaster.cli.trial import COMBINATION, course_of, run_trial
from forecaster.demand.demand import Demand, DemandError
from forecaster.moments import moment, spoken
from forecaster.pipeline import ForecastSettings, Outcome
from forecaster.plot.picture import Picture, Reliability, picture_of
from forecaster.plot.reliability import reliability_of

_PAGES = (".html", ".htm")
_TOLD_MEMBERS = 3


def plot(asked: Asked, demand: Demand, on_progress: OnProgress) -> Result:
    """Draw the forecast of what follows the demand into a file."""
    path = _path(asked)
    settings = settings_of(asked, demand)
    known = prepared(asked, demand, season=settings.season_steps)
    outcome = forecast_of(asked, known, settings)
    picture = picture_of(
        known,
        outcome.forecast,
        zone=asked.zone,
        subtitle=_subtitle(asked, outcome),
        reliability=_reliability(asked, demand, settings, on_progress),
    )
    content = _drawn(picture, path.suffix.lower())
    return Result(
        [Text(f"{path}: {len(content):,} bytes.")],
        {"file": str(path), "bytes": len(content), **_told(picture)},
        files={path: content},
    )


def _path(asked: Asked) -> Path:
    if asked.picture is None:
        raise DemandError("expected a file to draw into")
    return asked.picture


def _subtitle(asked: Asked, outcome: Outcome) -> str:
    forecast = outcome.forecast
    members = ", ".join(
        f"{member.name} {member.weight:.0%}" for member in outcome.members[:_TOLD_MEMBERS]
    )
    ahead = spoken(forecast.steps * forecast.step)
    return f"The {ahead} after {moment(forecast.origin, asked.zone)} · mostly {members}"


def _reliability(
    asked: Asked, demand: Demand, settings: ForecastSettings, on_progress: OnProgress
) -> Reliability | None:
    """Forecast again at past origins; none where the demand is too short for that."""
    if not asked.origins:
        return None
    try:
        course = course_of(asked, demand, settings)
    except DemandError:
        return None
    make = past_maker(asked, members_of(asked))
    tested = run_trial(COMBINATION, make, course, on_progress).backtest
    return reliability_of(tested, np.random.default_rng(asked.seed))


def _drawn(picture: Picture, suffix: str) -> bytes:
    if suffix in _PAGES:
        from forecaster.plot.page import page  # noqa: PLC0415 - only what is asked for is imported

        return page(picture).encode()
    from forecaster.plot.image import image  # noqa: PLC0415

    return image(picture, suffix[1:])


def _told(picture: Picture) -> Mapping[str, object]:
    checked = picture.reliability
    return {
        "title": picture.title,
        "unit": picture.unit,
        "axis": picture.axis.label,
        "origin": picture.origin,
        "outcomes": 0 if checked is None else checked.outcomes,
    }
