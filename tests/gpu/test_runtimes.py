"""Every runtime on a real GPU agrees with the CPU: what compiling alone cannot prove."""

import pytest

from inference.runtimes.choose import choose_runtime
from inference.runtimes.probe import probe_driver
from inference.runtimes.runtime import RuntimeMissingError
from telemetry.clock import SystemClock
from tests.gpu.check import CANDIDATES, Candidate, check, random_model, reference

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def gpu() -> None:
    try:
        probe_driver().gpu(0)
    except RuntimeMissingError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("candidate", CANDIDATES, ids=str)
def test_it_agrees_with_the_cpu(gpu: None, candidate: Candidate):
    model = random_model()
    figures = check(
        candidate,
        lambda settings: choose_runtime(candidate.runtime, settings),
        model,
        reference(model, candidate.reference),
        bytes_per_second=1e12,
        clock=SystemClock(),
    )
    if figures.missing is not None:
        pytest.skip(figures.missing)

    assert figures.failure is None
