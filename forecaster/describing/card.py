"""The model card: what was fitted to which demand, how it did, and where it is to be doubted."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from forecaster.demand.demand import Demand
from forecaster.describing.plain import plain
from forecaster.doubts import REASONS
from forecaster.forecast import Forecast
from forecaster.pipeline import ForecastSettings, Member, Outcome
from forecaster.scoring.backtest import Backtest
from forecaster.scoring.summary import Scores, by_horizon, summarise

_FEW_ERRORS = 500  # below this many, the 99 % quantile is a guess at its own tail
_OFF = 0.03  # coverage that is further from its level than this is worth a word


@dataclass(frozen=True, slots=True)
class Data:
    """The demand that was fitted to."""

    unit: str
    begins: float  # seconds since the epoch
    ends: float
    step: float  # seconds
    steps: int
    gaps: float  # share that is unknown
    ignored: float  # share that was seen and not learned from
    repairs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is worth knowing of one fitted forecaster before it is relied on."""

    name: str
    made_at: float  # seconds since the epoch
    version: str  # of warmfront
    data: Data
    settings: Mapping[str, object]
    model: str
    members: tuple[Member, ...]  # the weightiest first
    errors: int  # past ones that the quantiles rest on
    origins: int  # past ones that the scores rest on
    overall: Scores | None  # None: not tested
    by_horizon: tuple[Scores, ...]
    description: tuple[str, ...]  # of the demand
    limits: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Return the card as JSON holds it: what is not known is null."""
        found = plain(self)
        assert isinstance(found, dict)  # noqa: S101 - a dataclass becomes one
        return found


def make_card(
    demand: Demand,
    settings: ForecastSettings,
    outcome: Outcome,
    *,
    now: float,
    tested: Backtest | None = None,
    description: Sequence[str] = (),
    of_version: str | None = None,
) -> ModelCard:
    """Gather what is known of a forecaster, `tested` at past origins or not."""
    forecast = outcome.forecast
    scored = tested if tested is not None and tested.origins.size else None
    overall = None if scored is None else summarise(scored)
    return ModelCard(
        name=demand.name,
        made_at=now,
        version=installed_version() if of_version is None else of_version,
        data=_data(demand),
        settings=asdict(settings),
        model=forecast.model,
        members=outcome.members,
        errors=forecast.residuals,
        origins=0 if scored is None else int(scored.origins.size),
        overall=overall,
        by_horizon=() if scored is None else by_horizon(scored),
        description=tuple(description),
        limits=_limits(forecast, overall),
    )


def installed_version() -> str:
    """Return the version of warmfront that runs."""
    try:
        return version("warmfront")
    except PackageNotFoundError:
        return "unknown"


def _data(demand: Demand) -> Data:
    ignored = demand.ignored
    return Data(
        demand.unit,
        float(demand.window.start) - demand.step,
        demand.origin,
        demand.step,
        demand.size,
        float(np.isnan(demand.rate.values).mean()),
        0.0 if ignored is None else float(ignored.mean()),
        demand.repairs,
    )


def _limits(forecast: Forecast, overall: Scores | None) -> tuple[str, ...]:
    """Return where the forecaster is to be doubted, as sentences."""
    found = [_sentence(REASONS[doubt]) for doubt in forecast.doubts]
    if forecast.residuals < _FEW_ERRORS:
        found.append(
            f"Its quantiles rest on {forecast.residuals} past errors; the 99 % quantile takes "
            f"{_FEW_ERRORS} to be sure of."
        )
    if overall is None:
        found.append("It was not tested at past origins.")
    else:
        found += _shortcomings(overall)
    found.append("A burst without a cause in the past of demand is not foreseen.")
    return tuple(found)


def _sentence(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:]}."


def _shortcomings(scores: Scores) -> list[str]:
    off = [
        f"{share:.1%} of demand was at or below its {level:.3g} quantile."
        for level, share in scores.coverage.items()
        if abs(share - level) > _OFF
    ]
    simple = {"yesterday": scores.over_yesterday, "the last value": scores.over_last}
    lost = [
        f"It lost {ratio:.2f} times what {name} would have lost."
        for name, ratio in simple.items()
        if ratio >= 1
    ]
    return off + lost
