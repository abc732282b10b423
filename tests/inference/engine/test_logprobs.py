import numpy as np
import pytest

from inference.engine.logprobs import likelihoods


@pytest.mark.parametrize("vocabulary", [6, 3000])
def test_they_are_the_log_softmax(vocabulary: int):
    rng = np.random.default_rng(1)
    logits = (rng.standard_normal((4, vocabulary)) * 8 + 300).astype(np.float32)
    exact = logits.astype(np.float64) - 300
    exact -= np.log(np.exp(exact).sum(axis=1, keepdims=True))
    tokens = rng.integers(vocabulary, size=4)

    found = likelihoods(logits, tokens, [5, 0, 1, 3])

    for row, (one, count) in enumerate(zip(found, [5, 0, 1, 3], strict=True)):
        assert one.drawn == pytest.approx(exact[row, tokens[row]], abs=1e-4)
        best = np.argsort(-exact[row])[:count]
        assert [token for token, _ in one.top] == best.tolist()
        assert [value for _, value in one.top] == pytest.approx(exact[row, best], abs=1e-4)


def test_more_alternatives_than_tokens_are_all_tokens():
    (one,) = likelihoods(np.zeros((1, 3), np.float32), np.array([2]), [20])

    assert one.top == tuple((token, pytest.approx(-np.log(3))) for token in range(3))
