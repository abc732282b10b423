"""A CUDA device through the driver's own interface, by NVIDIA's `cuda-bindings`."""

import ctypes
import importlib
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.runtimes.device import Append, BandCopy
from inference.runtimes.probe import Gpu
from inference.runtimes.runtime import RuntimeFailedError, RuntimeMissingError

_BLOCK_THREADS = 128
_WORD_BYTES = 4
_POINTER_BYTES = 8
_INSTALL = "pip install 'warmfront[tensorrt]' or 'warmfront[tensorrt-rtx]'"


class CudaDevice:
    """The primary context of one GPU, shared with every library in the process."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._driver = _bindings("driver")
        self._call("cuInit", 0)
        self._device = self._call("cuDeviceGet", gpu.index)
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)
        self.enter()
        flags = int(self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING)
        self._stream = self._call("cuStreamCreate", flags)
        self._append: Any = None

    @property
    def stream(self) -> int:
        """Handle of the stream, for libraries that enqueue on it themselves."""
        return int(self._stream)

    def enter(self) -> None:
        """Make the context current in this thread."""
        self._call("cuCtxSetCurrent", self._context)

    def free_bytes(self) -> int:
        """Return how much of the GPU's memory no process has."""
        return int(self._call("cuMemGetInfo")[0])

    def allocate(self, size: int) -> int:
        """Return the address of `size` zeroed bytes, 256-byte aligned."""
        pointer = self._call("cuMemAlloc", max(size, 1))
        self._call("cuMemsetD8Async", pointer, 0, size, self._stream)
        return int(pointer)

    def release(self, address: int) -> None:
        """Free memory, once the stream is done with it."""
        self.synchronize()
        self._call("cuMemFree", address)

    def host_bytes(self, size: int) -> NDArray[Any]:
        """Return `size` bytes of page-locked memory."""
        address = int(self._call("cuMemHostAlloc", max(size, 1), 0))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def release_host(self, buffer: NDArray[Any]) -> None:
        """Free page-locked memory."""
        self.synchronize()
        self._call("cuMemFreeHost", buffer.ctypes.data)

    def copy_in(self, address: int, source: NDArray[Any]) -> None:
        """Put a copy from host memory on the stream."""
        where = source.ctypes.data
        self._call("cuMemcpyHtoDAsync", address, where, source.nbytes, self._stream)

    def copy_out(self, target: NDArray[Any], address: int) -> None:
        """Put a copy to host memory on the stream."""
        where = target.ctypes.data
        self._call("cuMemcpyDtoHAsync", where, address, target.nbytes, self._stream)

    def copy_bands(self, copy: BandCopy) -> None:
        """Put a copy within the device on the stream."""
        driver, plan = self._driver, self._driver.CUDA_MEMCPY2D()
        plan.srcMemoryType = plan.dstMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE
        plan.srcDevice, plan.srcPitch = copy.source, copy.source_pitch
        plan.dstDevice, plan.dstPitch = copy.target, copy.target_pitch
        plan.WidthInBytes, plan.Height = copy.width, copy.height
        self._call("cuMemcpy2DAsync", plan, self._stream)

    def append_kv(self, append: Append) -> None:
        """Put the kernel that writes new keys and values on the stream."""
        if self._append is None:
            self._append = self._kernel("append_kv")
        values = append.tables, append.tables + _POINTER_BYTES * append.pools, append.slots
        sizes = append.tokens, append.head_slots, append.row_bytes // _WORD_BYTES
        kinds = (ctypes.c_void_p,) * len(values) + (ctypes.c_int,) * len(sizes)
        arguments = ((*values, *sizes), kinds)
        grid = (append.rows * append.tokens, append.heads, append.pools)
        block = (min(_BLOCK_THREADS, sizes[-1]), 1, 1)
        self._call("cuLaunchKernel", self._append, *grid, *block, 0, self._stream, arguments, 0)

    def capture(self, work: Callable[[], None]) -> "_CudaGraph":
        """Record what `work` puts on the stream, without running it."""
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", self._stream, mode)
        try:
            work()
        except BaseException:
            self._driver.cuStreamEndCapture(self._stream)  # leaves the stream usable
            raise
        graph = self._call("cuStreamEndCapture", self._stream)
        try:
            ready = self._call("cuGraphInstantiate", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)
        return _CudaGraph(self._call, ready, self._stream)

    def synchronize(self) -> None:
        """Wait until the stream is empty."""
        self._call("cuStreamSynchronize", self._stream)

    def close(self) -> None:
        """Give the stream and the context up."""
        self._call("cuStreamDestroy", self._stream)
        self._call("cuDevicePrimaryCtxRelease", self._device)

    def _kernel(self, name: str) -> Any:
        module = self._call("cuModuleLoadData", compile_kernel(name, self._gpu.architecture))
        return self._call("cuModuleGetFunction", module, name.encode())

    def _call(self, function: str, *arguments: Any) -> Any:
        try:
            code, *results = getattr(self._driver, function)(*arguments)
        except RuntimeError as error:  # the driver is too old to have the function
            raise RuntimeFailedError(f"{function} cannot be called on {self}: {error}") from error
        if int(code):
            raise RuntimeFailedError(f"{function} failed on {self}: {code.name}")
        return results[0] if len(results) == 1 else results

    def __str__(self) -> str:
        return f"GPU {self._gpu.index} ({self._gpu.name})"


class _CudaGraph:
    """Work that was captured from a stream."""

    def __init__(self, call: Callable[..., Any], ready: Any, stream: Any) -> None:
        self._call = call
        self._ready = ready
        self._stream = stream

    def launch(self) -> None:
        """Put it on the stream."""
        self._call("cuGraphLaunch", self._ready, self._stream)

    def close(self) -> None:
        """Give up what it holds."""
        self._call("cuGraphExecDestroy", self._ready)


def compile_kernel(name: str, architecture: tuple[int, int]) -> bytes:
    """Compile one of this package's kernels for an architecture; needs no GPU."""
    nvrtc = _bindings("nvrtc")
    source = resources.files("inference.runtimes").joinpath(f"{name}.cu").read_bytes()
    option = f"--gpu-architecture=sm_{architecture[0]}{architecture[1]}".encode()
    try:
        program = _nvrtc(nvrtc.nvrtcCreateProgram(source, name.encode(), 0, [], []))
        (code,) = nvrtc.nvrtcCompileProgram(program, 1, [option])
        if int(code):
            raise RuntimeFailedError(f"the kernel {name} does not compile: {_log(nvrtc, program)}")
        image: bytes = b" " * _nvrtc(nvrtc.nvrtcGetCUBINSize(program))
        _nvrtc(nvrtc.nvrtcGetCUBIN(program, image))
    except RuntimeError as error:
        if isinstance(error, RuntimeFailedError):
            raise
        raise RuntimeMissingError(f"NVRTC does not load: {error}; {_INSTALL}") from error
    return image


def _nvrtc(result: tuple[Any, ...]) -> Any:
    code, *values = result
    if int(code):
        raise RuntimeFailedError(f"NVRTC failed: {code.name}")
    return values[0] if values else None


def _log(nvrtc: Any, program: Any) -> str:
    log: bytes = b" " * _nvrtc(nvrtc.nvrtcGetProgramLogSize(program))
    _nvrtc(nvrtc.nvrtcGetProgramLog(program, log))
    return log.decode(errors="replace").strip("\0 \n")


def _bindings(module: str) -> Any:
    try:
        return importlib.import_module(f"cuda.bindings.{module}")
    except ImportError as error:
        raise RuntimeMissingError(f"cuda-bindings is not installed; {_INSTALL}") from error
