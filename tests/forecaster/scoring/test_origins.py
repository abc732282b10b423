import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.demand.demand import Demand
from forecaster.scoring.origins import block_of, stratified_origins
from telemetry.series import Series, Window


def demand(values: np.ndarray) -> Demand:
    window = Window(60.0, 60.0 * values.size, 60.0)
    return Demand("m", Series({}, window, values))


@given(gaps=st.lists(st.integers(0, 199), max_size=150), seed=st.integers(0, 9))
def test_an_origin_is_known_and_so_is_half_of_what_comes_after_it(
    gaps: list[int], seed: int
) -> None:
    values = np.ones(200)
    values[gaps] = np.nan

    found = stratified_origins(demand(values), count=8, horizon=10, first=50, seed=seed)

    assert (found >= 50).all()
    for origin in found:
        assert np.isfinite(values[origin])
        assert np.isfinite(values[origin + 1 : origin + 11]).sum() >= 5


def test_each_part_has_one_origin() -> None:
    found = stratified_origins(demand(np.ones(209)), count=10, horizon=10, first=104)

    assert ((found - 104) // 10).tolist() == list(range(10))


def test_a_part_that_is_all_gap_has_none() -> None:
    values = np.ones(210)
    values[100:150] = np.nan

    found = stratified_origins(demand(values), count=10, horizon=10, first=100)

    assert 4 <= found.size <= 6
    assert (found >= 145).all()


def test_another_seed_draws_others_and_the_same_seed_the_same() -> None:
    ones = demand(np.ones(500))

    def drawn(seed: int) -> list[int]:
        return stratified_origins(ones, count=5, horizon=10, first=100, seed=seed).tolist()

    assert drawn(1) == drawn(1) != drawn(2)


def test_too_short_a_demand_has_no_origins() -> None:
    assert not stratified_origins(demand(np.ones(10)), count=3, horizon=60, first=5).size


def test_more_origins_than_steps_are_one_at_each_step() -> None:
    found = stratified_origins(demand(np.ones(30)), count=10**12, horizon=10, first=5)

    assert found.tolist() == list(range(5, 25))


@pytest.mark.parametrize(
    ("origins", "ahead", "block"),
    [
        pytest.param([10, 20, 30], 10, 1, id="none sees what another sees"),
        pytest.param([10, 20, 30], 11, 2, id="neighbours do"),
        pytest.param([10, 13, 20], 60, 12, id="as far apart as most are"),
        pytest.param([10], 60, 1, id="one alone"),
        pytest.param([], 60, 1, id="none"),
    ],
)
def test_origins_nearer_than_the_horizon_come_in_blocks(
    origins: list[int], ahead: int, block: int
) -> None:
    assert block_of(np.array(origins, np.int64), ahead) == block
