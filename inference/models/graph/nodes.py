"""A graph in the making: nodes, inputs, outputs and constants, each known by its tensor's name."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

IR_VERSION = 11
CONTRIB = "com.microsoft"  # ONNX Runtime's own operators


@dataclass(slots=True)
class Nodes:
    """What has been written so far; every method returns the name of the tensor it made."""

    floats: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    indices: int = TensorProto.INT64
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    @property
    def float_type(self) -> int:
        """ONNX's number for the type that is computed in."""
        return int(helper.np_dtype_to_tensor_dtype(self.floats))

    def op(
        self, kind: str, *inputs: str, out: str | None = None, domain: str = "", **attributes: Any
    ) -> str:
        """Add an operator of one output."""
        return self.ops(kind, *inputs, outs=[out or ""], domain=domain, **attributes)[0]

    def ops(
        self, kind: str, *inputs: str, outs: list[str], domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add an operator of several outputs; an output named "" is given a name."""
        name = f"{kind}_{len(self.nodes)}"
        names = [out or f"{name}_{place}" for place, out in enumerate(outs)]
        node = helper.make_node(kind, list(inputs), names, name, domain=domain, **attributes)
        self.nodes.append(node)
        return names

    def split(self, x: str, sizes: list[int]) -> list[str]:
        """Cut the last axis into parts of these sizes."""
        return self.ops("Split", x, self.whole(sizes), outs=[""] * len(sizes), axis=-1)

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Keep an array under a name, once."""
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def real(self, name: str, array: NDArray[Any] | float) -> str:
        """Keep an array in the number format that is computed in."""
        return name if name in self.constants else self.constant(name, self._cast(array))

    def whole(self, values: int | list[int]) -> str:
        """Keep whole numbers: a shape, an axis, an offset."""
        return self.constant(f"whole {values}", np.array(values, np.int64))

    def index_input(self, name: str, shape: list[str | int]) -> str:
        """Declare an input of indices and return it as int64, which ONNX's operators ask for."""
        self.input(name, self.indices, shape)
        if self.indices == TensorProto.INT64:
            return name
        return self.op("Cast", name, to=TensorProto.INT64)

    def input(self, name: str, kind: int, shape: list[str | int]) -> str:
        """Declare an input of any type."""
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, kind: int, shape: list[str | int]) -> str:
        """Declare an output, for an operator to write."""
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def model(self, opset: int) -> onnx.ModelProto:
        """Close the graph; ONNX Runtime's own operators are declared only where used."""
        graph = helper.make_graph(
            self.nodes, "decoder", self.inputs, self.outputs, list(self.constants.values())
        )
        opsets = [helper.make_opsetid("", opset)]
        if any(node.domain == CONTRIB for node in self.nodes):
            opsets.append(helper.make_opsetid(CONTRIB, 1))
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="warmfront"
        )

    def _cast(self, array: NDArray[Any] | float) -> NDArray[Any]:
        return np.asarray(array, np.float32).astype(self.floats)
