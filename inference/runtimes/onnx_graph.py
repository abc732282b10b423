"""Any ONNX file on ONNX Runtime: named arrays in and out, batched along their first axis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.models.spec import ModelError
from inference.runtimes.onnx_session import Provider, open_session
from inference.runtimes.runtime import RuntimeFailedError, RuntimeSettings

# ONNX Runtime's names of element types, with those of the Open Inference Protocol.
_DATATYPES: dict[str, tuple[str, type[Any]]] = {
    "tensor(bool)": ("BOOL", np.bool_),
    "tensor(uint8)": ("UINT8", np.uint8),
    "tensor(uint16)": ("UINT16", np.uint16),
    "tensor(uint32)": ("UINT32", np.uint32),
    "tensor(uint64)": ("UINT64", np.uint64),
    "tensor(int8)": ("INT8", np.int8),
    "tensor(int16)": ("INT16", np.int16),
    "tensor(int32)": ("INT32", np.int32),
    "tensor(int64)": ("INT64", np.int64),
    "tensor(float16)": ("FP16", np.float16),
    "tensor(float)": ("FP32", np.float32),
    "tensor(double)": ("FP64", np.float64),
    "tensor(string)": ("BYTES", np.object_),
}

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, type and shape of an input or output; the first axis is the batch."""

    name: str
    datatype: str  # as the Open Inference Protocol names it: FP32, INT64, BYTES ...
    shape: tuple[int | None, ...]  # None: any length

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's type of an element; strings are objects."""
        return np.dtype(next(one for name, one in _DATATYPES.values() if name == self.datatype))

    def accepts(self, shape: Sequence[int]) -> bool:
        """Tell whether an array of this shape fits."""
        return len(shape) == len(self.shape) and all(
            expected in (None, length) for expected, length in zip(self.shape, shape, strict=True)
        )


class OnnxGraphModel:
    """One ONNX graph, loaded; `run` may be called from several threads at once."""

    def __init__(
        self,
        source: Path | bytes,
        *,
        provider: Provider = Provider.CPU,
        settings: RuntimeSettings | None = None,
    ) -> None:
        self._origin = str(source) if isinstance(source, Path) else "the graph"
        if isinstance(source, Path) and not source.is_file():
            raise ModelError(f"{source}: no such file; the ONNX graph is missing")
        model = source if isinstance(source, bytes) else str(source)
        try:
            self._session = open_session(model, provider, settings or RuntimeSettings())
        except RuntimeFailedError as error:
            raise ModelError(f"{self._origin}: {error}") from error
        self.inputs = self._specs("input", self._session.get_inputs())
        self.outputs = self._specs("output", self._session.get_outputs())

    def run(self, arrays: Arrays) -> dict[str, NDArray[Any]]:
        """Return every output; arrays have the inputs' names and types and share their rows."""
        try:
            found = self._session.run(None, dict(arrays))
        except Exception as error:
            raise RuntimeFailedError(f"{self._origin}: ONNX Runtime failed: {error}") from error
        rows = len(next(iter(arrays.values())))
        outputs = dict(zip((one.name for one in self.outputs), found, strict=True))
        for name, array in outputs.items():
            if array.shape[:1] != (rows,):
                raise RuntimeFailedError(
                    f"{self._origin}: output {name} has shape {array.shape} for {rows} rows; "
                    "its first axis is no batch"
                )
        return outputs

    def _specs(self, side: str, nodes: Sequence[Any]) -> tuple[TensorSpec, ...]:
        if not nodes:
            raise ModelError(f"{self._origin}: the graph has no {side}")
        return tuple(self._spec(side, node) for node in nodes)

    def _spec(self, side: str, node: Any) -> TensorSpec:
        if node.type not in _DATATYPES:
            raise ModelError(
                f"{self._origin}: {side} {node.name} is a {node.type}, which is not supported; "
                f"expected one of {', '.join(_DATATYPES)}"
            )
        # Unknown lengths are names, or None where the exporter gave none.
        shape = tuple(one if isinstance(one, int) else None for one in node.shape)
        if not shape or shape[0] is not None:
            raise ModelError(
                f"{self._origin}: {side} {node.name} has shape {node.shape}, whose first axis is "
                "not dynamic; export the model with a batch axis of any length"
            )
        return TensorSpec(node.name, _DATATYPES[node.type][0], shape)
