"""Engines that ONNX Runtime runs on the host, behind the interface of TensorRT's.

With `HostDevice` it runs everything around a GPU's own work where there is no GPU: addresses,
shapes, the cache, the budget, captures. Its numbers are ONNX Runtime's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

from inference.runtimes.engines import Profile, ShapeRange, Tensor
from inference.runtimes.host_device import HostDevice
from inference.runtimes.probe import Gpu
from inference.runtimes.runtime import RuntimeFailedError

_TYPES: dict[str, Any] = {
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}


class HostLibrary:
    """Takes a graph's own bytes as its plan."""

    name = "onnxruntime"
    version = onnxruntime.__version__

    def __init__(self, *, captures: bool = False) -> None:
        self.captures = captures
        self.compiled: list[Sequence[Profile]] = []  # the profiles of each compilation

    def compile(self, model: onnx.ModelProto, profiles: Sequence[Profile], gpu: Gpu) -> bytes:  # noqa: ARG002 - the host has one architecture
        """Keep the profiles, and return the graph."""
        self.compiled.append(profiles)
        return bytes(model.SerializeToString())

    def open(self, plan: bytes, device: Any, kernels: bytes | None) -> "HostEngine":  # noqa: ARG002 - nothing is compiled while running
        """Load the graph; `device` is a HostDevice."""
        profiles = self.compiled[-1] if self.compiled else None
        try:
            session = onnxruntime.InferenceSession(plan, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library's exceptions share no base
            raise RuntimeFailedError(f"ONNX Runtime refuses the engine: {error}") from error
        return HostEngine(session, plan, device, profiles)


class HostEngine:
    """One graph in the host's memory."""

    scratch_bytes = 4096  # as if it needed some

    def __init__(
        self, session: Any, plan: bytes, device: HostDevice, profiles: Sequence[Profile] | None
    ) -> None:
        self._session = session
        self._plan = plan
        self._device = device
        self._profiles = profiles
        self.weights_bytes = len(plan)

    def prepare(self, profile: int, tensors: Mapping[str, Tensor], scratch: int) -> "_Bound":  # noqa: ARG002 - ONNX Runtime has its own
        """Bind every input and output to its address."""
        binding = self._session.io_binding()
        for one in self._session.get_inputs():
            tensor = tensors[one.name]
            if self._profiles is not None:
                _check(one.name, tensor.shape, self._profiles[profile][one.name])
            kind = _TYPES[one.type]
            binding.bind_input(one.name, "cpu", 0, kind, tensor.shape, tensor.address)
        for one in self._session.get_outputs():
            tensor, kind = tensors[one.name], _TYPES[one.type]
            binding.bind_output(one.name, "cpu", 0, kind, tensor.shape, tensor.address)
        return _Bound(self._session, binding, self._device)

    def plan(self) -> bytes:
        """Return the graph."""
        return self._plan

    def kernels(self) -> bytes | None:
        """Return nothing: none are compiled while running."""
        return None

    def close(self) -> None:
        """Drop the session."""
        self._session = None


class _Bound:
    """A session with every address set."""

    def __init__(self, session: Any, binding: Any, device: HostDevice) -> None:
        self._session = session
        self._binding = binding
        self._device = device

    def enqueue(self) -> None:
        """Run it, or have it recorded."""
        self._device.submit(self._run)

    def _run(self) -> None:
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # the library's exceptions share no base
            raise RuntimeFailedError(f"ONNX Runtime failed in a step: {error}") from error


def _check(name: str, shape: tuple[int, ...], allowed: ShapeRange) -> None:
    """Refuse a shape that the engine was not compiled for, as TensorRT does."""
    limits = zip(allowed.smallest, shape, allowed.largest, strict=True)
    if not all(low <= size <= high for low, size, high in limits):
        raise RuntimeFailedError(f"{name} cannot be {shape}: its profile forbids it")
