import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forecaster.condition.runs import Run, covered, runs


def test_a_run_ends_before_the_step_that_no_longer_holds():
    mask = np.array([True, False, True, True, False, True])

    assert [Run(0, 1), Run(2, 4), Run(5, 6)] == runs(mask)


def test_nothing_has_no_runs():
    assert runs(np.zeros(4, np.bool_)) == []
    assert runs(np.zeros(0, np.bool_)) == []


@given(st.lists(st.booleans(), max_size=40))
def test_runs_cover_what_they_were_made_of(flags):
    mask = np.array(flags, np.bool_)

    assert flags == covered(runs(mask), mask.size).tolist()
