import numpy as np
import pytest

from forecaster.condition.gaps import ending_gap, longest_gap, share_known
from forecaster.condition.runs import Run

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "share", "longest", "ending"),
    [
        pytest.param([1.0, 0.0], 1.0, None, 0, id="a zero is known"),
        pytest.param([NAN, 1.0, NAN, NAN, 2.0], 0.4, Run(2, 4), 0, id="the longest"),
        pytest.param([1.0, NAN], 0.5, Run(1, 2), 1, id="at the end"),
        pytest.param([NAN, NAN], 0.0, Run(0, 2), 2, id="nothing known"),
        pytest.param([], 0.0, None, 0, id="nothing at all"),
    ],
)
def test_gaps_are_counted(values, share, longest, ending):
    series = np.array(values)

    assert share == share_known(series)
    assert longest == longest_gap(series)
    assert ending == ending_gap(series)
