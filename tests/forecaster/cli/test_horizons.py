from hypothesis import given
from hypothesis import strategies as st

from forecaster.cli.horizons import shown_steps


def test_a_short_horizon_is_shown_whole_and_a_long_one_at_round_steps() -> None:
    assert shown_steps(6) == [1, 2, 3, 4, 5, 6]
    assert shown_steps(60) == [1, 2, 3, 5, 10, 15, 20, 30, 45, 60]


@given(st.integers(1, 100_000))
def test_a_table_is_never_long_and_always_has_the_first_and_the_last_step(steps: int) -> None:
    shown = shown_steps(steps)

    assert len(shown) <= 12
    assert (shown[0], shown[-1]) == (1, steps)
    assert shown == sorted(set(shown))
