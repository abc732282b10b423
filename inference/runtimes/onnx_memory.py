"""Memory for cached keys and values that ONNX Runtime updates where it lies."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from inference.runtimes.onnx_cache import Tensor
from inference.runtimes.runtime import BlockCopy, RuntimeFailedError

# Views a buffer as [blocks, heads, tokens, head_dim].
ByBlock = Callable[[NDArray[Any]], NDArray[Any]]


class Memory(Protocol):
    """Zeroed buffers of one shape, one for each cached tensor, at fixed addresses."""

    kind: np.dtype[Any]  # of the numbers in it

    def allocate(self, names: Sequence[str], shape: tuple[int, ...], by_block: ByBlock) -> None:
        """Make the buffers; those from before are gone."""
        ...

    def tensor(self, name: str) -> Tensor:
        """Return a buffer as the tensor of its name."""
        ...

    def copy(self, copies: Sequence[BlockCopy]) -> None:
        """Copy tokens between blocks, in order and in every buffer."""
        ...


class HostMemory:
    """Buffers in the process's own memory."""

    def __init__(self, kind: np.dtype[Any]) -> None:
        self.kind = kind
        self.buffers: dict[str, NDArray[Any]] = {}
        self._by_block: list[NDArray[Any]] = []

    def allocate(self, names: Sequence[str], shape: tuple[int, ...], by_block: ByBlock) -> None:
        """Make the buffers; those from before are gone."""
        self.buffers.clear()
        self._by_block.clear()
        try:
            self.buffers |= {name: np.zeros(shape, self.kind) for name in names}
        except MemoryError as error:
            raise RuntimeFailedError(_too_much(names, shape, self.kind)) from error
        self._by_block += [by_block(buffer) for buffer in self.buffers.values()]

    def tensor(self, name: str) -> Tensor:
        """Return a buffer as the tensor of its name."""
        buffer = self.buffers[name]
        return Tensor(name, buffer.shape, buffer.ctypes.data, buffer)

    def copy(self, copies: Sequence[BlockCopy]) -> None:
        """Copy tokens between blocks, in order and in every buffer."""
        for source, target, tokens in copies:
            for blocks in self._by_block:
                blocks[target, :, :tokens] = blocks[source, :, :tokens]


class DeviceMemory:
    """Buffers on a device that only ONNX Runtime reaches: a graph of two operators copies."""

    def __init__(self, kind: np.dtype[Any], device: str, number: int, session: Any) -> None:
        self.kind = kind
        self._device = device
        self._number = number
        self._session = session  # of the model `copying_graph`
        self._buffers: dict[str, Any] = {}

    def allocate(self, names: Sequence[str], shape: tuple[int, ...], by_block: ByBlock) -> None:
        """Make the buffers; those from before are gone."""
        self._buffers.clear()
        try:
            for name in names:
                self._buffers[name] = onnxruntime.OrtValue.ortvalue_from_numpy(
                    np.zeros(shape, self.kind), self._device, self._number
                )
        except Exception as error:  # the library's exceptions share no base
            self._buffers.clear()
            raise RuntimeFailedError(_too_much(names, shape, self.kind)) from error
        self._shape = shape
        rows = np.arange(np.prod(shape[:-1])).reshape(*shape[:-1], 1)
        self._flat = (rows.size, shape[-1])
        self._rows = by_block(rows)[..., 0]  # of each block, head and token

    def tensor(self, name: str) -> Tensor:
        """Return a buffer as the tensor of its name."""
        return Tensor(name, self._shape, int(self._buffers[name].data_ptr()))

    def copy(self, copies: Sequence[BlockCopy]) -> None:
        """Copy tokens between blocks, in order and in every buffer."""
        for source, target, tokens in copies:
            binding = self._session.io_binding()
            binding.bind_cpu_input("source", self._rows[source, :, :tokens].ravel())
            binding.bind_cpu_input("target", self._rows[target, :, :tokens].reshape(-1, 1))
            for name in self._buffers:
                place = (
                    self._device,
                    self._number,
                    self.kind,
                    self._flat,
                    self.tensor(name).address,
                )
                binding.bind_input("pool", *place)
                binding.bind_output("pool_out", *place)
                self._session.run_with_iobinding(binding)


def copying_graph(kind: np.dtype[Any]) -> bytes:
    """Return a graph that copies rows of a buffer to other rows of it, in place."""
    number, index = helper.np_dtype_to_tensor_dtype(kind), TensorProto.INT64
    nodes = [
        helper.make_node("Gather", ["pool", "source"], ["read"]),
        helper.make_node("ScatterND", ["pool", "target", "read"], ["pool_out"]),
    ]
    inputs = [
        helper.make_tensor_value_info("pool", number, ["P", "D"]),
        helper.make_tensor_value_info("source", index, ["N"]),
        helper.make_tensor_value_info("target", index, ["N", 1]),
    ]
    output = helper.make_tensor_value_info("pool_out", number, ["P", "D"])
    graph = helper.make_graph(nodes, "copy", inputs, [output])
    opsets = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())


def _too_much(names: Sequence[str], shape: tuple[int, ...], kind: np.dtype[Any]) -> str:
    size = len(names) * int(np.prod(shape)) * kind.itemsize
    return f"no memory for a KV cache of {size} bytes: give it fewer blocks, or a smaller model"
