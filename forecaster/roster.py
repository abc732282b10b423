"""The roster: which models there are, by name, and which are asked at every forecast."""

from collections.abc import Iterable, Sequence

from forecaster.models import boosting
from forecaster.models.arima import Arima
from forecaster.models.autoregression import Autoregression
from forecaster.models.boosting import BoostedQuantiles
from forecaster.models.exponential import ExponentialSmoothing
from forecaster.models.extras import ModelError, installed
from forecaster.models.foundation import foundation_models, load
from forecaster.models.levels import LastValue, MovingAverage
from forecaster.models.model import Model
from forecaster.models.profile import DailyProfile, SeasonalNaive, WeeklyProfile
from forecaster.models.smoothing import DampedTrend, HoltWinters


def cheap() -> tuple[Model, ...]:
    """Return the models that take milliseconds: these run at every forecast."""
    return (
        LastValue(),
        MovingAverage(5),
        MovingAverage(15),
        MovingAverage(60),
        ExponentialSmoothing(),
        DailyProfile(),
        WeeklyProfile(),
        SeasonalNaive(),
        Autoregression(),
        Autoregression(memory=1.5, name="recent autoregression"),
    )


def every() -> tuple[Model, ...]:
    """Return every model of this installation but the foundation models, which load weights."""
    slower: list[Model] = [DampedTrend(), HoltWinters(), Arima()]
    if installed(boosting.NEEDED):
        slower.append(BoostedQuantiles())
    return (*cheap(), *slower)


def named(names: Sequence[str]) -> tuple[Model, ...]:
    """Return the models of these names, foundation models among them.

    Raises ModelError: with what there is for an unknown name, or why a model cannot be had.
    """
    known = {model.name: model for model in every()}
    return tuple(known[name] if name in known else _other(name, known) for name in names)


def _other(name: str, known: Iterable[str]) -> Model:
    if name == boosting.NAME:
        return BoostedQuantiles()  # which says what it lacks
    pretrained = foundation_models()
    if name not in pretrained:
        there = ", ".join((*known, *pretrained))
        raise ModelError(f"there is no model {name!r}; there are: {there}")
    return load(name)
