"""What this machine can do with one thread: the roofline that the engine is held against."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from worker import serve

REPEATS = 9


class Machine:
    """Bandwidth and arithmetic, measured with NumPy and with ONNX Runtime's own kernels."""

    def __init__(self, _folder: Path, _variant: str) -> None:
        import onnxruntime

        self._library = onnxruntime

    def bandwidth(self, *, size: int) -> float:
        """Bytes per second read from a buffer of `size` bytes, again and again."""
        values = np.ones(size // 4, np.float32)
        return size / _fastest(lambda: np.dot(values, values))

    def gemm(self, *, rows: int, inputs: int, outputs: int) -> float:
        """FLOP/s of a float32 matrix product, the better of two libraries."""
        left = np.ones((rows, inputs), np.float32)
        right = np.ones((inputs, outputs), np.float32)
        session = self._product(right)
        fastest = min(
            _fastest(lambda: left @ right),
            _fastest(lambda: session.run(None, {"x": left})),
        )
        return 2 * rows * inputs * outputs / fastest

    def _product(self, matrix: np.ndarray) -> Any:
        from onnx import TensorProto, helper, numpy_helper

        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "matrix"], ["y"])],
            "product",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", len(matrix)])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", matrix.shape[1]])],
            [numpy_helper.from_array(matrix, "matrix")],
        )
        options = self._library.SessionOptions()
        options.intra_op_num_threads = 1
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
        )
        return self._library.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


def _fastest(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        count = 0
        while time.process_time() - began < 0.02:
            work()
            count += 1
        times.append((time.process_time() - began) / count)
    return min(times)


if __name__ == "__main__":
    serve(Machine)
