"""ONNX Runtime on the CPU: the decoder graph with its KV pools updated in place."""

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inference.models.checkpoint import Weights
from inference.models.graph import build_decoder, pool_names
from inference.models.spec import ModelSpec
from inference.runtimes.runtime import Batch, RuntimeFailedError

_ERRORS_ONLY = 3


class OnnxRuntime:
    """Runs the decoder with ONNX Runtime's CPU kernels.

    Spinning makes a lone engine up to a third faster, and everybody slower where a core is
    shared: waiting threads then burn it.
    """

    def __init__(self, *, threads: int = 1, spinning: bool = False, block_size: int = 16) -> None:
        self._threads = threads
        self._spinning = spinning
        self._block_size = block_size
        self._session: onnxruntime.InferenceSession | None = None

    @property
    def block_size(self) -> int:
        """Tokens per KV block."""
        return self._block_size

    def load(self, spec: ModelSpec, weights: Weights) -> None:
        """Build the graph and let ONNX Runtime optimise it."""
        model = build_decoder(spec, weights, block_size=self._block_size)
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), self._options(), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library's exceptions share no base
            raise RuntimeFailedError(f"ONNX Runtime cannot load the model: {error}") from error
        self._spec = spec

    def allocate_kv(self, blocks: int) -> None:
        """Bind zeroed pools, each as its own input and output."""
        self._binding = self._loaded().io_binding()
        rows = self._spec.kv_heads * blocks * self._block_size
        shape = (rows, self._spec.head_dim)
        self._pools = {name: np.zeros(shape, np.float32) for name in pool_names(self._spec)}
        for name, pool in self._pools.items():
            self._binding.bind_input(name, "cpu", 0, np.float32, shape, pool.ctypes.data)
            self._bind_output(f"{name}_out", pool)
        self._logits = np.empty((0, self._spec.vocabulary), np.float32)

    def step(self, batch: Batch) -> NDArray[np.float32]:
        """Compute the batch; return logits [B, vocabulary], valid until the next step."""
        for name in ("tokens", "positions", "slots", "block_tables", "last"):
            self._binding.bind_cpu_input(name, getattr(batch, name))
        if len(self._logits) != len(batch.tokens):
            self._logits = np.empty((len(batch.tokens), self._spec.vocabulary), np.float32)
            self._bind_output("logits", self._logits)
        try:
            self._loaded().run_with_iobinding(self._binding)
        except Exception as error:  # the library's exceptions share no base
            raise RuntimeFailedError(f"ONNX Runtime failed in a step: {error}") from error
        return self._logits

    def _options(self) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", "1" if self._spinning else "0"
        )
        return options

    def _loaded(self) -> onnxruntime.InferenceSession:
        if self._session is None:
            raise RuntimeFailedError("no model is loaded: call load first")
        return self._session

    def _bind_output(self, name: str, array: NDArray[np.float32]) -> None:
        self._binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
