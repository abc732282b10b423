import pytest

from inference.gateway.admission.work import Pace, pace_of, work_of


def test_a_full_batch_shares_the_fixed_cost_of_an_iteration():
    pace = pace_of(fixed=0.008, decode_token=0.001, prefill_token=0.0005, slots=8)

    assert pace == Pace(output_weight=pytest.approx(4.0), per_slot=pytest.approx(250.0))


@pytest.mark.parametrize(
    ("prefill_token", "slots"),
    [pytest.param(0.0, 8, id="free input"), pytest.param(0.1, 0, id="no slots")],
)
def test_without_the_cost_of_input_there_is_no_pace(prefill_token, slots):
    assert pace_of(fixed=0.1, decode_token=0.1, prefill_token=prefill_token, slots=slots) is None


@pytest.mark.parametrize(
    ("decode_token", "weight"),
    [pytest.param(1e-9, 1.0, id="too little"), pytest.param(1e9, 1000.0, id="too much")],
)
def test_the_weight_of_output_is_kept_within_reason(decode_token, weight):
    pace = pace_of(fixed=0.0, decode_token=decode_token, prefill_token=0.001, slots=1)

    assert pace.output_weight == weight


def test_work_is_input_and_weighed_output_and_never_nothing():
    assert work_of(100, 20, 5.0) == 200.0
    assert work_of(0, 0, 5.0) == 1.0
