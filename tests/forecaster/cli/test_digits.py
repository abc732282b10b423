import math

import pytest

from forecaster.cli.digits import alone, amount, decimals_of, json_number, level, share


@pytest.mark.parametrize(
    ("values", "decimals"),
    [
        pytest.param([1234.5, 3.0], 0, id="the largest has four digits already"),
        pytest.param([12.3], 1, id="tens"),
        pytest.param([0.0123], 4, id="hundredths"),
        pytest.param([0.0, math.nan], 0, id="nothing to tell"),
        pytest.param([1e-15], 0, id="what rounding left of zero"),
    ],
)
def test_a_column_has_as_many_decimals_as_give_its_largest_three_digits(
    values: list[float], decimals: int
) -> None:
    assert decimals_of(values) == decimals


def test_what_is_not_known_is_a_dash_for_people_and_null_for_machines() -> None:
    assert [amount(math.nan, 2), share(None), alone(math.inf)] == ["-", "-", "-"]
    assert [json_number(math.nan), json_number(math.inf), json_number(1.5)] == [None, None, 1.5]


def test_levels_and_shares_are_called_as_people_call_them() -> None:
    assert [level(0.5), level(0.975), level(0.995)] == ["p50", "p97.5", "p99.5"]
    assert [share(0.987), share(0.987, 1)] == ["99%", "98.7%"]
    assert amount(1234567.0, 0) == "1,234,567"
