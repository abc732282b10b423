"""Which NVIDIA driver and GPUs are there, asked of the driver alone.

TensorRT's libraries must not be touched before: some of them crash the process, rather than
fail, where there is no driver.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass

from inference.runtimes.runtime import RuntimeMissingError

DRIVER_LIBRARY = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
_NAME_BYTES = 128
_INSTALL = (
    "install NVIDIA's driver (and in a container: run it with the GPU passed in, "
    "such as --gpus all), or choose the runtime 'onnx', which needs no GPU"
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device as the driver describes it."""

    index: int
    name: str
    architecture: tuple[int, int]  # compute capability
    memory_bytes: int

    @property
    def sm(self) -> str:
        """The architecture as TensorRT writes it: SM89 for compute capability 8.9."""
        return f"SM{self.architecture[0]}{self.architecture[1]}"


@dataclass(frozen=True, slots=True)
class DriverState:
    """What the driver said: its GPUs, or why there are none."""

    version: tuple[int, int] | None = None  # newest CUDA that the driver serves
    gpus: tuple[Gpu, ...] = ()
    problem: str | None = None

    def gpu(self, index: int) -> Gpu:
        """Return one GPU, or say what is missing."""
        if self.problem is not None:
            raise RuntimeMissingError(f"no GPU can be used: {self.problem}; {_INSTALL}")
        if not 0 <= index < len(self.gpus):
            raise RuntimeMissingError(
                f"there is no GPU {index}: the driver shows {len(self.gpus)}, counted from 0; "
                "set `device` to one of them (CUDA_VISIBLE_DEVICES hides and renumbers them)"
            )
        return self.gpus[index]


class _DriverError(Exception):
    """A call to the driver did not return zero."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def probe_driver(library: str = DRIVER_LIBRARY) -> DriverState:
    """Ask the driver for its GPUs; whatever fails is told in `problem`."""
    try:
        driver = ctypes.CDLL(library)
    except OSError as error:
        return DriverState(problem=f"the driver library {library} does not load ({error})")
    try:
        return _ask(driver)
    except _DriverError as error:
        if error.code == _NO_DEVICE:
            return DriverState(problem="the driver runs, but shows no GPU")
        return DriverState(problem=f"the driver does not start: {error}")
    except AttributeError as error:
        return DriverState(problem=f"{library} is not NVIDIA's driver library ({error})")


def _ask(driver: ctypes.CDLL) -> DriverState:
    def call(function: str, *arguments: object) -> None:
        code = getattr(driver, function)(*arguments)
        if code:
            raise _DriverError(code, f"{function} returned {code} ({_text(driver, code)})")

    call("cuInit", 0)
    version, count = ctypes.c_int(), ctypes.c_int()
    call("cuDriverGetVersion", ctypes.byref(version))
    call("cuDeviceGetCount", ctypes.byref(count))
    if not count.value:
        raise _DriverError(_NO_DEVICE, "no device")
    gpus = tuple(_gpu(call, index) for index in range(count.value))
    return DriverState(version=(version.value // 1000, version.value % 1000 // 10), gpus=gpus)


def _gpu(call: Callable[..., None], index: int) -> Gpu:
    device, memory = ctypes.c_int(), ctypes.c_size_t()
    major, minor = ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    call("cuDeviceGet", ctypes.byref(device), index)
    call("cuDeviceGetName", name, _NAME_BYTES, device)
    call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    call("cuDeviceGetAttribute", ctypes.byref(major), _MAJOR, device)
    call("cuDeviceGetAttribute", ctypes.byref(minor), _MINOR, device)
    architecture = (major.value, minor.value)
    return Gpu(index, name.value.decode(errors="replace"), architecture, memory.value)


def _text(driver: ctypes.CDLL, code: int) -> str:
    text = ctypes.c_char_p()
    driver.cuGetErrorString(code, ctypes.byref(text))
    return text.value.decode(errors="replace") if text.value else "no text for it"
