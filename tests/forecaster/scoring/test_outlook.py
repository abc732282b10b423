import numpy as np

from forecaster.demand.demand import Demand
from forecaster.scoring.outlook import Outlook
from forecaster.scoring.warm_pool import Pool, replay
from telemetry.series import Series, Window

RATES = np.arange(40.0)
DEMAND = Demand("m", Series({}, Window(60.0, 2400.0, 60.0), RATES))


def test_what_a_miss_costs_decides_the_quantile() -> None:
    played = replay(DEMAND, Pool(1.0, lead=60.0, every=600.0), first=5)
    outlook = Outlook((0.5, 0.9), np.tile([10.0, 20.0], (played.origins.size, 1)))

    assert set(outlook.replicas(played, 1)) == {10}
    assert set(outlook.replicas(played, 9)) == {20}
    assert set(outlook.replicas(played, 3)) == {17}  # 0.75 lies 5/8 of the way: 16.25


def test_without_a_forecast_the_pool_stays_as_it_is() -> None:
    played = replay(DEMAND, Pool(1.0, lead=60.0, every=300.0), first=5)
    values = np.full((played.origins.size, 1), np.nan)
    values[1] = 7.0

    replicas = Outlook((0.5,), values).replicas(played, 1)

    assert replicas[0] == 20
    assert set(replicas[1:]) == {7.0}
