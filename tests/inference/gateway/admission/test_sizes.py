import pytest

from inference.gateway.admission.sizes import Size, SizeEstimator
from inference.gateway.timeline import Usage
from tests.inference.gateway.admission.entries import Ask


def taught(*answers, rounds=200):
    sizes = SizeEstimator()
    for _ in range(rounds):
        for asked, usage in answers:
            sizes.learn(asked, usage)
    return sizes


def test_a_guess_is_made_before_anything_is_known():
    assert SizeEstimator().estimate(Ask(400, max_tokens=10)) == Size(100, 10)
    assert SizeEstimator().estimate(Ask(0)).input_tokens == 1


def test_bytes_per_token_are_learnt():
    sizes = taught((Ask(1000, 10), Usage(500, 10)))

    assert sizes.estimate(Ask(300, 10)).input_tokens == pytest.approx(150, abs=1)


def test_images_are_learnt_apart_from_text():
    sizes = taught(
        (Ask(400, 10), Usage(100, 10)), (Ask(400, 10, images=2), Usage(100 + 2 * 600, 10))
    )

    assert sizes.estimate(Ask(400, 10)).input_tokens == pytest.approx(100, abs=2)
    assert sizes.estimate(Ask(0, 10, images=3)).input_tokens == pytest.approx(1800, rel=0.02)


def test_answers_have_a_length_of_their_own_where_max_tokens_is_a_bound():
    sizes = taught((Ask(1, 4096), Usage(1, 200)), (Ask(1, 1024), Usage(1, 220)))

    assert sizes.estimate(Ask(1, 8192)).output_tokens == pytest.approx(210, abs=15)
    assert sizes.estimate(Ask(1, 16)).output_tokens == 16
    assert sizes.estimate(Ask(1)).output_tokens == pytest.approx(210, abs=15)


def test_answers_are_a_share_of_max_tokens_where_that_is_set_tightly():
    sizes = taught((Ask(1, 1000), Usage(1, 900)), (Ask(1, 20), Usage(1, 18)))

    assert sizes.estimate(Ask(1, 400)).output_tokens == pytest.approx(360, abs=10)
    assert sizes.estimate(Ask(1, 10)).output_tokens == pytest.approx(9, abs=1)


def test_output_is_that_of_one_choice():
    sizes = taught((Ask(1, 100, choices=4), Usage(1, 200)))

    assert sizes.estimate(Ask(1, 100, choices=4)).output_tokens == pytest.approx(50, abs=2)


def test_the_usual_size_follows_the_answers():
    assert taught((Ask(400, 100), Usage(80, 30))).mean == Size(80, 30)
