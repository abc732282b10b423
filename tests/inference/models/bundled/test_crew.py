import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="trains the bundled model")

from inference.models.bundled.crew import Crew  # noqa: E402

MEMBER = """
import sys
from pathlib import Path
import torch
from inference.models.bundled.crew import Crew

crew = Crew(int(sys.argv[1]), 2)
crew.meet(Path(sys.argv[2]))
network = torch.nn.Linear(2, 1)
network.weight.grad = torch.tensor([[1.0, 2.0]]) * (1 + crew.rank)
print(crew.agree(network, 0.5 * crew.rank), network.weight.grad.tolist())
"""


def test_one_alone_agrees_with_itself(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 1)
    network.weight.grad = torch.ones(1, 2)
    crew = Crew()
    crew.meet(tmp_path)

    assert crew.leads
    assert crew.agree(network, 0.25) == 0.25
    assert network.weight.grad.tolist() == [[1, 1]]


def test_two_agree_on_the_mean(tmp_path: Path) -> None:
    members = [
        subprocess.Popen(
            [sys.executable, "-c", MEMBER, str(rank), str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]

    assert [member.communicate(timeout=120)[0] for member in members] == [
        "0.25 [[1.5, 3.0]]\n"
    ] * 2
