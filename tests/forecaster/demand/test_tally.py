import numpy as np
import pytest

from forecaster.demand.demand import DemandError
from forecaster.demand.place import Place
from forecaster.demand.tally import Tally


def test_requests_that_are_not_meant_only_let_time_pass() -> None:
    tally = Tally(Place("t"), 10.0, 0.0)
    tally.add(np.array([1.0, 12.0, 35.0]), taken=np.array([True, False, False]))

    assert tally.counted().requests.tolist() == [1, 0, 0]


def test_a_stray_time_is_refused_before_memory_is_asked_for() -> None:
    tally = Tally(Place("t"), 1.0, 0.0)

    with pytest.raises(DemandError, match="10000000 at most: is there a stray time"):
        tally.add(np.array([0.0, 1e12]))


def test_tokens_of_which_none_is_known_are_a_gap_and_of_no_request_none() -> None:
    tally = Tally(Place("t"), 10.0, 0.0)
    tally.add(np.array([1.0, 35.0]), output_tokens=np.array([np.nan, 3.0]))

    np.testing.assert_array_equal(tally.counted().output_tokens, [np.nan, 0, 0])
