"""The check itself, the host in a GPU's place: it passes what is right, and nothing else."""

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from inference.models.checkpoint import Weights
from inference.models.precision import Lowering, Precision
from inference.models.spec import ModelSpec
from inference.runtimes.host_device import HostDevice
from inference.runtimes.host_library import HostLibrary
from inference.runtimes.machine import Machine
from inference.runtimes.probe import Gpu, probe_driver
from inference.runtimes.runtime import Batch, Runtime, RuntimeMissingError, RuntimeSettings
from inference.runtimes.tensorrt import TensorRTRuntime
from telemetry.clock import SystemClock
from tests.gpu import check as checking
from tests.gpu.check import SPEC, Candidate, Figures, check, main, random_model, reference

SMALL = dataclasses.replace(
    SPEC, vocabulary=128, hidden=32, layers=2, heads=4, head_dim=8, feed_forward=48
)
GPU = Gpu(0, "a GPU played by the host", (8, 9), 1 << 30)

Made = Callable[[RuntimeSettings], Runtime]


def played(settings: RuntimeSettings) -> TensorRTRuntime:
    return TensorRTRuntime(settings, machine=lambda: Machine(GPU, HostDevice(), HostLibrary()))


class Askew(TensorRTRuntime):
    """Attends to a context that is one token off, once there is one."""

    def step(self, batch: Batch) -> np.ndarray:
        shifted = np.maximum(batch.positions - (batch.positions > 100), 0)
        return super().step(dataclasses.replace(batch, positions=shifted))


def askew(settings: RuntimeSettings) -> TensorRTRuntime:
    return Askew(settings, machine=lambda: Machine(GPU, HostDevice(), HostLibrary()))


@pytest.fixture(scope="module")
def model() -> tuple[ModelSpec, Weights]:
    return random_model(SMALL)


@pytest.fixture
def figures(
    model: tuple[ModelSpec, Weights], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Made], Figures]:
    monkeypatch.setattr(checking, "REPEATS", 1)
    monkeypatch.setattr(checking, "BATCHES", (1, 2))

    def run(make: Made, lowering: Lowering = Lowering.HOSTKV) -> Figures:
        candidate = Candidate("played", lowering, Precision.FP32)
        expected = reference(model, candidate.reference)
        return check(candidate, make, model, expected, bytes_per_second=1e9, clock=SystemClock())

    return run


@pytest.mark.parametrize("lowering", [Lowering.KVUPDATE, Lowering.HOSTKV])
def test_right_numbers_pass_and_are_timed(figures: Callable[..., Figures], lowering: Lowering):
    found = figures(played, lowering)

    assert found.failure is None
    assert found.difference is not None
    assert found.difference < 1e-4
    assert found.agreement == 1.0
    assert set(found.decode_ms) == {1, 2}


def test_wrong_numbers_fail(figures: Callable[..., Figures]):
    found = figures(askew)

    assert found.failure is not None
    assert "logits differ" in found.failure


def test_what_is_not_installed_is_missing_and_no_failure(figures: Callable[..., Figures]):
    def absent(settings: RuntimeSettings) -> Runtime:
        raise RuntimeMissingError("pip install it")

    assert figures(absent) == Figures("played hostkv fp32", missing="pip install it")


@pytest.mark.skipif(probe_driver().gpus != (), reason="there is a GPU: the check would run")
def test_without_a_gpu_it_says_what_is_missing(capsys: pytest.CaptureFixture[str]):
    assert main(["--json"]) == 0
    assert "no GPU can be used" in json.loads(capsys.readouterr().out)["skipped"]
