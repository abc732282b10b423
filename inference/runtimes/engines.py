"""What compiles graphs for a GPU and runs them there: the seam to NVIDIA's libraries."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import onnx

from inference.runtimes.device import Device
from inference.runtimes.probe import Gpu


class ShapeRange(NamedTuple):
    """The shapes of one input that an engine is compiled for; it is fastest at the usual one."""

    smallest: tuple[int, ...]
    usual: tuple[int, ...]
    largest: tuple[int, ...]


Profile = Mapping[str, ShapeRange]  # by input


class Tensor(NamedTuple):
    """Where an input or output of a call lies, and its shape."""

    address: int
    shape: tuple[int, ...]


class PreparedCall(Protocol):
    """An engine with every shape and address set."""

    def enqueue(self) -> None:
        """Put the call on the device's stream."""
        ...


class Engine(Protocol):
    """A compiled graph in the device's memory."""

    @property
    def weights_bytes(self) -> int:
        """Device memory of the weights."""
        ...

    @property
    def scratch_bytes(self) -> int:
        """Device memory that any one call needs while it runs."""
        ...

    def prepare(self, profile: int, tensors: Mapping[str, Tensor], scratch: int) -> PreparedCall:
        """Set a call up; all calls may share `scratch`, since they run one after the other."""
        ...

    def plan(self) -> bytes:
        """Return what the engine was opened from."""
        ...

    def kernels(self) -> bytes | None:
        """Return what was compiled while running, where the library does so."""
        ...

    def close(self) -> None:
        """Free the device's memory; every call must be gone."""
        ...


class EngineLibrary(Protocol):
    """What compiles graphs and opens engines."""

    @property
    def name(self) -> str:
        """The library's own name."""
        ...

    @property
    def version(self) -> str:
        """Its version: engines of another one are not opened."""
        ...

    @property
    def captures(self) -> bool:
        """Whether it captures CUDA graphs by itself."""
        ...

    def compile(self, model: onnx.ModelProto, profiles: Sequence[Profile], gpu: Gpu) -> bytes:
        """Compile a graph for a GPU."""
        ...

    def open(self, plan: bytes, device: Device, kernels: bytes | None) -> Engine:
        """Bring an engine into the device's memory."""
        ...
