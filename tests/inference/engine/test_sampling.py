from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.engine.errors import DrawError
from inference.engine.sampling import GREEDY, Drawn, Sampler, Sampling, draw

LOGITS = np.log(np.array([0.1, 0.4, 0.05, 0.3, 0.15], np.float32))
SETTINGS = st.builds(
    Sampling,
    temperature=st.floats(0, 2),
    top_k=st.integers(0, 50),
    top_p=st.floats(0, 1),
    min_p=st.floats(0, 1),
    seed=st.integers(-(2**70), 2**70),
    repetition_penalty=st.floats(0.5, 2),
    presence_penalty=st.floats(-2, 2),
    frequency_penalty=st.floats(-2, 2),
)


def drawn(sampling: Sampling, count: int = 400, *, logits=LOGITS, choice: int = 0) -> list[int]:
    """The tokens of one answer where the model says the same at every position."""
    sampler = Sampler(sampling, (), vocabulary=len(logits), choice=choice)
    return [draw(logits[None], [sampler])[0].token for _ in range(count)]


def test_greedy_takes_the_likeliest():
    assert drawn(GREEDY, 2) == [1, 1]


def test_the_defaults_are_openais():
    assert Sampling() == Sampling(
        temperature=1.0, top_k=0, top_p=1.0, presence_penalty=0.0, frequency_penalty=0.0
    )


def test_the_same_seed_draws_the_same():
    again = [drawn(Sampling(seed=5), 50) for _ in range(2)]

    assert again[0] == again[1]
    assert len(set(again[0])) > 1


def test_other_seeds_and_other_choices_draw_otherwise():
    said = [drawn(Sampling(seed=seed), 50, choice=choice) for seed in (1, 2) for choice in (0, 1)]

    assert len(set(map(tuple, said))) == 4


@pytest.mark.parametrize(
    ("sampling", "shares"),
    [
        pytest.param(Sampling(seed=11), [0.1, 0.4, 0.05, 0.3, 0.15], id="as they are"),
        pytest.param(Sampling(temperature=0.5), [0.01, 0.16, 0.0025, 0.09, 0.0225], id="cool"),
        pytest.param(Sampling(temperature=2.0), np.exp(LOGITS / 2), id="warm"),
        pytest.param(Sampling(top_k=3), [0, 0.4, 0, 0.3, 0.15], id="top 3"),
        pytest.param(Sampling(top_p=0.6), [0, 0.4, 0, 0.3, 0], id="nucleus"),
        pytest.param(Sampling(min_p=0.3), [0, 0.4, 0, 0.3, 0.15], id="min p"),
    ],
)
def test_frequencies_follow_the_probabilities(sampling: Sampling, shares):
    frequencies = np.bincount(drawn(sampling, 4000), minlength=5) / 4000

    np.testing.assert_allclose(frequencies, np.array(shares) / np.sum(shares), atol=0.03)


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
        pytest.param(Sampling(top_k=3, top_p=0.8), {1, 3}, id="a share of the top 3 only"),
        pytest.param(Sampling(min_p=0.7), {1, 3}, id="min p of two"),
        pytest.param(Sampling(min_p=1.0), {1}, id="min p keeps the likeliest"),
        pytest.param(Sampling(top_k=2, min_p=0.9), {1}, id="min p within top 2"),
        pytest.param(Sampling(temperature=0.01), {1}, id="cold"),
        pytest.param(Sampling(logit_bias=((1, -100), (3, -100))), {0, 2, 4}, id="biased against"),
        pytest.param(Sampling(temperature=0, logit_bias=((2, 100),)), {2}, id="biased for"),
    ],
)
def test_only_what_the_settings_leave_is_drawn(sampling: Sampling, possible: set[int]):
    assert set(drawn(sampling)) == possible


def test_greedy_under_penalties_goes_through_the_vocabulary():
    sampling = replace(GREEDY, presence_penalty=2.0, frequency_penalty=2.0)

    assert drawn(sampling, 6) == [1, 3, 4, 0, 2, 1]


@pytest.mark.parametrize("vocabulary", [7, 300, 5000])
@pytest.mark.parametrize("spread", [0.01, 1.0, 5.0], ids=["flat", "usual", "steep"])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.95, 0.999])
def test_a_nucleus_is_as_large_as_a_sort_says(vocabulary: int, spread: float, top_p: float):
    rng = np.random.default_rng(3)
    logits = (rng.standard_normal(vocabulary) * spread).astype(np.float32)
    shares = np.exp(logits.astype(np.float64))
    order = np.argsort(-shares)
    size = 1 + np.searchsorted(shares[order].cumsum() / shares.sum(), top_p)
    samplers = [Sampler(Sampling(top_p=top_p, seed=one), (), vocabulary=vocabulary)
                for one in range(200)]  # fmt: skip

    tokens = [one.token for one in draw(np.tile(logits, (200, 1)), samplers)]

    assert set(tokens) <= set(order[:size].tolist())
    assert len(set(tokens)) > 0.05 * min(size, 200)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(SETTINGS, min_size=1, max_size=6),
    st.sampled_from([3, 40, 260, 1000, 70_000]),
    st.floats(0.01, 20),
    st.integers(0, 2**32),
)
def test_a_row_draws_the_same_alone_and_in_any_batch(
    samplings: list[Sampling], vocabulary: int, spread: float, seed: int
):
    def samplers() -> list[Sampler]:
        return [Sampler(one, range(3), vocabulary=vocabulary, choice=3) for one in samplings]

    rng = np.random.default_rng(seed)
    shape = (3, len(samplings), vocabulary)
    steps = (rng.standard_normal(shape) * spread).astype(np.float16).astype(np.float32)
    batch, alone = samplers(), samplers()
    for logits in steps:
        together = draw(logits, batch)
        singly = [draw(logits[row, None], [one])[0] for row, one in enumerate(alone)]

        assert together == singly
        assert all(0 <= one.token < vocabulary for one in together)


def test_equal_logits_are_all_possible_and_top_k_keeps_the_first():
    level = np.zeros(600, np.float32)

    assert set(drawn(Sampling(top_k=3), 100, logits=level)) == {0, 1, 2}
    assert len(set(drawn(Sampling(top_p=0.99), 100, logits=level))) > 80


@pytest.mark.parametrize(
    "sampling",
    [GREEDY, Sampling(), Sampling(top_k=9), Sampling(top_p=0.999999), Sampling(min_p=0.1)],
)
def test_a_token_that_the_model_excludes_is_never_drawn(sampling: Sampling):
    logits = np.full(700, -np.inf, np.float32)
    logits[[5, 690]] = 1.0

    assert set(drawn(sampling, 100, logits=logits)) <= {5, 690}


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param([np.nan, 1, 2], id="NaN"),
        pytest.param([0, np.inf, 2], id="infinite"),
        pytest.param([-np.inf] * 3, id="all excluded"),
    ],
)
@pytest.mark.parametrize("sampling", [GREEDY, Sampling(logprobs=2), Sampling(top_k=2)])
def test_logits_that_are_not_finite_end_one_request_and_no_other(broken, sampling: Sampling):
    logits = np.array([[3, 1, 2], broken, [1, 2, 3]], np.float32)
    samplers = [Sampler(one, (), vocabulary=3) for one in (GREEDY, sampling, GREEDY)]

    first, second, third = draw(logits, samplers)

    assert (first, third) == (Drawn(0), Drawn(2))
    assert isinstance(second, DrawError)
    assert "finite" in str(second)


def test_the_models_logits_are_left_as_they_are():
    logits = LOGITS[None].copy()
    sampling = Sampling(repetition_penalty=2.0, logit_bias=((1, 5.0),), top_p=0.5, logprobs=1)
    draw(logits, [Sampler(sampling, (0, 1), vocabulary=5)])

    np.testing.assert_array_equal(logits, LOGITS[None])


def test_log_probabilities_are_the_models_own_whatever_the_settings():
    sampling = Sampling(temperature=0, logit_bias=((2, 100),), repetition_penalty=1.5, logprobs=2)
    (one,) = draw(LOGITS[None], [Sampler(sampling, (2,), vocabulary=5)])

    assert one.token == 2
    assert one.logprob == pytest.approx(np.log(0.05), rel=1e-5)
    assert one.top == (
        (1, pytest.approx(np.log(0.4), rel=1e-5)),
        (3, pytest.approx(np.log(0.3), rel=1e-5)),
    )


def test_only_rows_that_ask_get_log_probabilities():
    asks = [replace(GREEDY, logprobs=count) for count in (None, 0, 4)]
    rows = draw(np.tile(LOGITS, (3, 1)), [Sampler(one, (), vocabulary=5) for one in asks])

    assert [one.logprob is None for one in rows] == [True, False, False]
    assert [len(one.top) for one in rows] == [0, 0, 4]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1}, {"top_k": -1}, {"top_p": 1.1}, {"top_p": float("nan")},
        {"min_p": 1.1}, {"min_p": float("nan")}, {"repetition_penalty": 0.0},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match="expected"):
        Sampling(**wrong)


def test_a_bias_on_a_token_that_is_none_is_refused():
    with pytest.raises(ValueError, match="outside the vocabulary of 5"):
        Sampler(Sampling(logit_bias=((5, 1.0),)), (), vocabulary=5)
