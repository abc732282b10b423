import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.engine.sampling import GREEDY, Sampling, choose

LOGITS = np.log(np.array([0.1, 0.4, 0.05, 0.3, 0.15], np.float32))


def drawn(sampling: Sampling, count: int = 400) -> set[int]:
    return {choose(LOGITS, sampling, position=position) for position in range(count)}


def test_greedy_takes_the_likeliest():
    assert choose(LOGITS, GREEDY, position=3) == 1


def test_the_defaults_are_openais():
    assert (Sampling().temperature, Sampling().top_p, Sampling().top_k) == (1.0, 1.0, 0)


def test_the_same_seed_and_position_draw_the_same():
    again = [
        [choose(LOGITS, Sampling(seed=5), position=position) for position in range(50)]
        for _ in range(2)
    ]

    assert again[0] == again[1]
    assert len(set(again[0])) > 1


def test_other_seeds_draw_otherwise():
    first, second = (
        [choose(LOGITS, Sampling(seed=seed), position=position) for position in range(50)]
        for seed in (1, 2)
    )

    assert first != second


def test_frequencies_follow_the_probabilities():
    draws = [choose(LOGITS, Sampling(seed=11), position=position) for position in range(4000)]

    frequencies = np.bincount(draws, minlength=5) / len(draws)
    np.testing.assert_allclose(frequencies, np.exp(LOGITS), atol=0.03)


@pytest.mark.parametrize(
    ("sampling", "possible"),
    [
        pytest.param(Sampling(), {0, 1, 2, 3, 4}, id="everything"),
        pytest.param(Sampling(top_k=1), {1}, id="top 1"),
        pytest.param(Sampling(top_k=2), {1, 3}, id="top 2"),
        pytest.param(Sampling(top_k=99), {0, 1, 2, 3, 4}, id="more than there are"),
        pytest.param(Sampling(top_p=0.0), {1}, id="nucleus of none keeps one"),
        pytest.param(Sampling(top_p=0.39), {1}, id="nucleus of one"),
        pytest.param(Sampling(top_p=0.5), {1, 3}, id="nucleus of two"),
        pytest.param(Sampling(top_k=3, top_p=0.9), {1, 3, 4}, id="nucleus within top 3"),
        pytest.param(Sampling(temperature=0.01), {1}, id="cold"),
    ],
)
def test_only_likely_tokens_are_drawn(sampling: Sampling, possible: set[int]):
    assert drawn(sampling) == possible


def test_heat_evens_out():
    assert drawn(Sampling(temperature=2.0)) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    "wrong", [{"temperature": -0.1}, {"top_k": -1}, {"top_p": 1.1}, {"top_p": float("nan")}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match="expected temperature"):
        Sampling(**wrong)


@given(
    logits=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40),
    temperature=st.floats(0, 2),
    top_k=st.integers(0, 50),
    top_p=st.floats(0, 1),
    seed=st.integers(-(2**70), 2**70),
)
def test_any_settings_draw_a_token_of_the_vocabulary(
    logits: list[float], temperature: float, top_k: int, top_p: float, seed: int
):
    sampling = Sampling(temperature, top_k, top_p, seed)

    assert 0 <= choose(np.array(logits, np.float32), sampling, position=1) < len(logits)
