"""The roster: which models there are, by name, and which are asked at every forecast."""

from collections.abc import Sequence

from forecaster.models.autoregression import Autoregression
from forecaster.models.exponential import ExponentialSmoothing
from forecaster.models.levels import LastValue, MovingAverage
from forecaster.models.model import Model
from forecaster.models.profile import DailyProfile, SeasonalNaive, WeeklyProfile


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
    """Return every model of this installation."""
    return cheap()


def named(names: Sequence[str]) -> tuple[Model, ...]:
    """Return the models of these names; raise ValueError with what there is for an unknown one."""
    known = {model.name: model for model in every()}
    for name in names:
        if name not in known:
            raise ValueError(f"there is no model {name!r}; there are: {', '.join(known)}")
    return tuple(known[name] for name in names)
