import numpy as np
import pytest

from forecaster.forecast import Forecast
from forecaster.live.tracking import begin_tracking
from telemetry.series import Series, Window

STEP = 10.0
QUANTILES = (0.1, 0.5, 0.9, 0.99)
START = 1_000_000.0


class World:
    """Forecasts of a steady spread, and the demand that comes after them."""

    quantiles = QUANTILES
    start = START
    step = STEP

    def tracking(self, *, season_steps=240, horizon_steps=3):
        return begin_tracking(
            step=STEP, season_steps=season_steps, horizon_steps=horizon_steps, quantiles=QUANTILES
        )

    def forecast(self, origin, *, levels=(1.0, 5.0, 9.0, 9.9), steps=3):
        return Forecast(origin, STEP, QUANTILES, np.array([levels] * steps), "fixed", 100)

    def demand(self, until, rates):
        window = Window.ending(until, step=STEP, points=len(rates))
        return Series({}, window, np.array(rates, dtype=float))

    def told(self, tracking, rates, *, start=START, **changes):
        """Forecast each step, and let demand come."""
        for index, rate in enumerate(rates):
            origin = start + STEP * index
            tracking = tracking.remembering(self.forecast(origin, **changes))
            tracking = tracking.matured(self.demand(origin + STEP, [rate]))
        return tracking


@pytest.fixture
def world():
    return World()
