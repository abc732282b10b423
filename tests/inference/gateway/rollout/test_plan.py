import pytest

from inference.gateway.rollout.plan import Probe, RolloutPlan, Strategy
from tests.inference.gateway.rollout.conftest import plan_of


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"canary": "v1"}, "name two versions", id="one version"),
        pytest.param({"canary": ""}, "'canary' is up to 96", id="no canary"),
        pytest.param({"model": "a b"}, "'model' is up to 96", id="no name of a model"),
        pytest.param({"stable": "\n"}, "'stable' is a version", id="no version"),
        pytest.param({"steps": ()}, "1 to 20 steps", id="no steps"),
        pytest.param({"steps": (0.0, 1.0)}, "above 0 and up to 1", id="a step of nothing"),
        pytest.param({"steps": (0.5, 1.01)}, "above 0 and up to 1", id="more than all"),
        pytest.param({"steps": (float("nan"),)}, "above 0 and up to 1", id="no number"),
        pytest.param({"steps": (0.5, 0.5)}, "rise from each", id="a step that is none"),
        pytest.param({"min_requests": 0}, "'min_requests' is 1", id="on silence"),
        pytest.param({"max_ttft_ratio": 0.9}, "'max_ttft_ratio' is 1", id="faster than stable"),
        pytest.param({"max_error_delta": 1.0}, "'max_error_delta' is a share", id="any failure"),
        pytest.param({"max_quality_drop": -0.1}, "'max_quality_drop'", id="below none"),
        pytest.param({"level": 0.0}, "'level' is between", id="never wrong"),
        pytest.param({"step_seconds": float("inf")}, "'step_seconds' is 0", id="for ever"),
        pytest.param({"probes": (Probe("x", "y"),) * 51}, "at most 50", id="too many probes"),
    ],
)
def test_a_plan_that_cannot_be_followed_says_why(fields, message):
    with pytest.raises(ValueError, match=message):
        plan_of(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"expect": "x"}, "either a 'prompt' or", id="nothing asked"),
        pytest.param(
            {"expect": "x", "prompt": "y", "messages": ({"role": "user"},)}, "either", id="both"
        ),
        pytest.param({"expect": "(", "prompt": "y"}, "no regular expression", id="pattern"),
        pytest.param({"expect": "", "prompt": "y"}, "1 to 500", id="anything passes"),
        pytest.param({"expect": "x", "prompt": "y", "max_tokens": 0}, "max_tokens", id="silence"),
        pytest.param({"expect": "x", "prompt": "y" * 8001}, "longer than 8000", id="a book"),
    ],
)
def test_a_probe_that_cannot_be_asked_says_why(fields, message):
    with pytest.raises(ValueError, match=message):
        Probe(**fields)


def test_a_probe_asks_for_the_likeliest_answer():
    chat = Probe("4", messages=({"role": "user", "content": "2+2"},), max_tokens=8)

    assert chat.body("tiny") == {
        "model": "tiny", "messages": [{"role": "user", "content": "2+2"}],
        "max_tokens": 8, "temperature": 0.0, "seed": 0,
    }  # fmt: skip
    assert Probe("4", prompt="2+2").body("tiny")["prompt"] == "2+2"


def test_blue_green_takes_one_step():
    assert RolloutPlan("m", "", "v2", Strategy.BLUE_GREEN).weights == (1.0,)
    assert plan_of().weights == (0.1, 0.5, 1.0)
