"""Which way of forecasting a pool pays least for."""

import numpy as np
import pytest

from forecaster.cli.comparison import UNKNOWN, Compared, chosen
from forecaster.cli.trial import COMBINATION
from forecaster.scoring.bootstrap import LossRatio
from forecaster.scoring.warm_pool import Bill

MEMBERS = ["last value", "mean of 15 min"]
PAID = Bill(1.0, 0.0, 10.0, 0.0, 0.0, 1.0, (np.zeros(1), np.zeros(1)))


def compared(name: str, ratio: LossRatio) -> Compared:
    return Compared(name, 0.5, UNKNOWN, (0.9, 0.99), PAID, ratio)


@pytest.mark.parametrize(
    ("ratios", "choice"),
    [
        pytest.param({"last value": LossRatio(0.8, 0.7, 1.1, 20)}, COMBINATION, id="chance"),
        pytest.param({"last value": LossRatio(0.8, 0.7, 0.9, 20)}, "last value", id="surely less"),
        pytest.param({"last value": UNKNOWN}, COMBINATION, id="not known"),
        pytest.param(
            {
                "last value": LossRatio(0.8, 0.7, 0.9, 20),
                "mean of 15 min": LossRatio(0.6, 0.5, 0.7, 20),
            },
            "mean of 15 min",
            id="the least",
        ),
        pytest.param(
            {"hindsight: mean x 2": LossRatio(0.2, 0.1, 0.3, 20)}, COMBINATION, id="no member"
        ),
    ],
)
def test_the_combination_is_kept_unless_a_member_surely_costs_less(
    ratios: dict[str, LossRatio], choice: str
) -> None:
    rows = [compared(COMBINATION, UNKNOWN), *(compared(*one) for one in ratios.items())]

    assert chosen(rows, MEMBERS) == choice
