import ctypes
from pathlib import Path

import pytest

from inference.runtimes.probe import Gpu, probe_driver
from inference.runtimes.runtime import RuntimeMissingError


def test_every_gpu_is_described(cuda: ctypes.CDLL, cuda_library: Path):
    state = probe_driver(str(cuda_library))

    assert state.version == (13, 2)
    assert state.gpus[1] == Gpu(1, "Fake L4 1", (8, 9), 1 << 24)
    assert state.gpu(1).sm == "SM89"


def test_an_architecture_of_two_digits_keeps_both(cuda: ctypes.CDLL, cuda_library: Path):
    cuda.fake_set_architecture(120)

    assert probe_driver(str(cuda_library)).gpu(0).sm == "SM120"


@pytest.mark.parametrize("index", [-1, 2])
def test_a_gpu_that_is_not_there_is_named(cuda: ctypes.CDLL, cuda_library: Path, index: int):
    with pytest.raises(RuntimeMissingError, match=f"no GPU {index}: the driver shows 2"):
        probe_driver(str(cuda_library)).gpu(index)


def test_without_a_driver_the_error_says_what_to_install(tmp_path: Path):
    state = probe_driver(str(tmp_path / "libcuda.so.1"))

    assert state.gpus == ()
    with pytest.raises(RuntimeMissingError, match=r"does not load.*install NVIDIA's driver"):
        state.gpu(0)


def test_a_driver_without_a_device_says_so(cuda: ctypes.CDLL, cuda_library: Path):
    cuda.fake_set_devices(0)

    with pytest.raises(RuntimeMissingError, match="the driver runs, but shows no GPU"):
        probe_driver(str(cuda_library)).gpu(0)


def test_a_driver_that_does_not_start_is_quoted(cuda: ctypes.CDLL, cuda_library: Path):
    cuda.fake_set_init(803)

    with pytest.raises(RuntimeMissingError, match="unsupported display driver"):
        probe_driver(str(cuda_library)).gpu(0)


def test_another_library_of_that_name_is_told_apart():
    with pytest.raises(RuntimeMissingError, match="is not NVIDIA's driver library"):
        probe_driver("libc.so.6").gpu(0)
