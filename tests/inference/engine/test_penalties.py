import numpy as np
import pytest

from inference.engine.penalties import Penalties

LOGITS = np.array([2.0, -2.0, 1.0, 0.0, 4.0], np.float32)


def after(prompt: list[int], said: list[int], **penalties: float) -> list[float]:
    neutral = {"repetition": 1.0, "presence": 0.0, "frequency": 0.0}
    one, logits = Penalties(prompt, **neutral | penalties), LOGITS.copy()
    for token in said:
        one.count(token)
    one.apply(logits)
    return [float(value) for value in logits]


@pytest.mark.parametrize(
    ("prompt", "said", "penalties", "logits"),
    [
        pytest.param([], [], {"repetition": 2.0}, [2, -2, 1, 0, 4], id="nothing said"),
        pytest.param([0, 1], [], {"repetition": 2.0}, [1, -4, 1, 0, 4], id="the prompt repeats"),
        pytest.param([0], [1, 4], {"repetition": 2.0}, [1, -4, 1, 0, 2], id="the answer repeats"),
        pytest.param([0], [0, 0], {"repetition": 2.0}, [1, -2, 1, 0, 4], id="repeated once"),
        pytest.param([0], [2, 2], {"presence": 0.5}, [2, -2, 0.5, 0, 4], id="present, once"),
        pytest.param([0], [2, 2, 3], {"frequency": 0.5}, [2, -2, 0, -0.5, 4], id="each time"),
        pytest.param([], [2], {"presence": -1, "frequency": -1}, [2, -2, 3, 0, 4], id="a reward"),
        pytest.param(
            [4], [4], {"repetition": 2.0, "presence": 1, "frequency": 0.25},
            [2, -2, 1, 0, 0.75], id="all",
        ),
    ],
)  # fmt: skip
def test_saying_it_again_costs(prompt, said, penalties, logits):
    assert after(prompt, said, **penalties) == logits
