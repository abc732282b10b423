"""A GPU with its driver's calls and NVIDIA's library, opened in the only safe order."""

from collections.abc import Callable
from dataclasses import dataclass

from inference.runtimes.cuda import CudaDevice
from inference.runtimes.device import Device
from inference.runtimes.engines import EngineLibrary
from inference.runtimes.probe import DriverState, Gpu, probe_driver
from inference.runtimes.tensorrt_library import load_library


@dataclass(frozen=True, slots=True)
class Machine:
    """A GPU with what drives it."""

    gpu: Gpu
    device: Device
    library: EngineLibrary


def open_machine(
    library: str, index: int, *, probe: Callable[[], DriverState] = probe_driver
) -> Machine:
    """Ask the driver for a GPU, and only then load a library that would crash without one."""
    gpu = probe().gpu(index)
    loaded = load_library(library)
    loaded.require(gpu)
    return Machine(gpu, CudaDevice(gpu), loaded)
