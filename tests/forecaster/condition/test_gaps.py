import numpy as np
import pytest

from forecaster.condition.gaps import ending_gap, longest_gap
from forecaster.condition.runs import Run

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "longest", "ending"),
    [
        pytest.param([1.0, 0.0], None, 0, id="a zero is known"),
        pytest.param([NAN, 1.0, NAN, NAN, 2.0], Run(2, 4), 0, id="the longest"),
        pytest.param([1.0, NAN], Run(1, 2), 1, id="at the end"),
        pytest.param([NAN, NAN], Run(0, 2), 2, id="nothing known"),
        pytest.param([], None, 0, id="nothing at all"),
    ],
)
def test_gaps_are_counted(values, longest, ending):
    series = np.array(values)

    assert longest == longest_gap(series)
    assert ending == ending_gap(series)
