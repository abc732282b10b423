from functools import partial
from importlib.metadata import EntryPoint
from importlib.util import find_spec

import pytest

from inference.models.checkpoint import Weights
from inference.models.precision import Lowering
from inference.models.spec import ModelSpec
from inference.runtimes.choose import choose_runtime, fastest
from inference.runtimes.machine import open_machine
from inference.runtimes.onnx import OnnxRuntime
from inference.runtimes.probe import DriverState, Gpu
from inference.runtimes.runtime import RuntimeMissingError, RuntimeSettings
from inference.runtimes.tensorrt import TensorRTRuntime

NO_DRIVER = DriverState(problem="the driver library libcuda.so.1 does not load")
HOPPER = DriverState((13, 2), (Gpu(0, "NVIDIA H200", (9, 0), 141 << 30),))
SETTINGS = RuntimeSettings()


class Mine(OnnxRuntime):
    """A back-end of another package."""


def refuse(settings: RuntimeSettings) -> OnnxRuntime:
    raise ValueError("no licence")


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{value}", "warmfront.runtimes")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("onnx", OnnxRuntime), ("tensorrt", TensorRTRuntime), ("tensorrt-rtx", TensorRTRuntime)],
)
def test_a_name_stands_for_a_runtime(name: str, kind: type):
    assert type(choose_runtime(name, SETTINGS)) is kind


def test_a_name_that_nothing_has_lists_those_there_are():
    with pytest.raises(
        RuntimeMissingError, match=r"no runtime 'vllm', only auto, onnx, .*, mine;"
    ):
        choose_runtime("vllm", SETTINGS, others=[point("mine", "Mine")])


def test_another_package_brings_its_own():
    assert type(choose_runtime("mine", SETTINGS, others=[point("mine", "Mine")])) is Mine


@pytest.mark.parametrize(
    ("value", "reason"), [("refuse", "no licence"), ("Absent", "no attribute 'Absent'")]
)
def test_another_packages_failure_names_it(value: str, reason: str):
    with pytest.raises(RuntimeMissingError, match=f"'mine' cannot be made by .*{reason}"):
        choose_runtime("mine", SETTINGS, others=[point("mine", value)])


def test_without_a_driver_auto_is_the_cpu():
    assert type(choose_runtime("auto", SETTINGS, probe=lambda: NO_DRIVER)) is OnnxRuntime


def missing(settings: RuntimeSettings, driver: DriverState) -> None:
    raise RuntimeMissingError("not installed")


def present(settings: RuntimeSettings, driver: DriverState) -> None:
    pass


@pytest.mark.parametrize(
    ("tests", "driver", "expected"),
    [
        pytest.param({"first": present, "second": present}, HOPPER, "first", id="the fastest"),
        pytest.param({"first": missing, "second": present}, HOPPER, "second", id="the next"),
        pytest.param({"first": missing}, HOPPER, "onnx", id="none"),
        pytest.param({"first": present}, NO_DRIVER, "onnx", id="no driver"),
    ],
)
def test_auto_takes_the_first_that_can_run(tests, driver: DriverState, expected: str):
    assert fastest(driver, SETTINGS, tests=tests) == expected


def test_auto_passes_over_what_cannot_run_the_lowering_or_the_gpu():
    """TensorRT has no `gqa`; TensorRT for RTX, where it is installed, does not know Hopper."""
    settings = RuntimeSettings(lowering=Lowering.GQA)

    assert not fastest(HOPPER, settings).startswith("tensorrt")
    assert fastest(HOPPER, SETTINGS) != "tensorrt-rtx"


def test_a_runtime_without_its_gpu_says_what_to_install(spec: ModelSpec, weights: Weights):
    machine = partial(open_machine, "tensorrt", 0, probe=lambda: NO_DRIVER)

    with pytest.raises(RuntimeMissingError, match=r"no GPU can be used.*install NVIDIA's driver"):
        TensorRTRuntime(SETTINGS, machine=machine).load(spec, weights)


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="tensorrt is installed")
def test_a_library_that_is_not_installed_says_what_to_install():
    with pytest.raises(RuntimeMissingError, match=r"pip install 'warmfront\[tensorrt\]'"):
        open_machine("tensorrt", 0, probe=lambda: HOPPER)


def test_a_gpu_that_the_library_does_not_know_points_to_the_other():
    pytest.importorskip("tensorrt_rtx", reason="needs tensorrt-rtx")

    with pytest.raises(RuntimeMissingError, match=r"does not know NVIDIA H200 .*use tensorrt"):
        open_machine("tensorrt_rtx", 0, probe=lambda: HOPPER)
