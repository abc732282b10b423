"""Sessions of ONNX Runtime: which provider, which options, and graphs of any size."""

from enum import StrEnum
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from weakref import finalize

import onnx
import onnxruntime

from inference.runtimes.runtime import RuntimeFailedError, RuntimeMissingError, RuntimeSettings

_ERRORS_ONLY = 3
_INT8_ACTIVATIONS = "4"  # in blocks of each token: no token's numbers depend on another's
_PROTOBUF_LIMIT = 2**31 - 2**20


class Provider(StrEnum):
    """On what ONNX Runtime computes; the value is its name for the device."""

    CPU = "cpu"
    CUDA = "cuda"

    @property
    def library_name(self) -> str:
        """ONNX Runtime's name for the provider."""
        return f"{self.upper()}ExecutionProvider"

    def require(self) -> None:
        """Refuse a provider that the installed ONNX Runtime was built without."""
        there = onnxruntime.get_available_providers()
        if self.library_name not in there:
            raise RuntimeMissingError(
                f"ONNX Runtime offers {', '.join(there)} here, not {self.library_name}: install "
                "warmfront[gpu] in place of onnxruntime, beside an NVIDIA driver and CUDA"
            )


class StoredGraph:
    """A graph in host memory, or in a temporary folder where it is too large for one message."""

    def __init__(self, model: onnx.ModelProto, *, limit: int = _PROTOBUF_LIMIT) -> None:
        self._source: bytes | str
        self.size = sum(len(one.raw_data) for one in model.graph.initializer)
        if self.size < limit:
            self._source = model.SerializeToString()
        else:
            folder = Path(mkdtemp(prefix="warmfront-"))
            finalize(self, rmtree, folder, ignore_errors=True)
            self._source = str(folder / "decoder.onnx")
            onnx.save(model, self._source, save_as_external_data=True, location="weights")

    def open(self, provider: Provider, settings: RuntimeSettings) -> Any:
        """Let ONNX Runtime optimise and prepare the graph."""
        return open_session(self._source, provider, settings)


def open_session(source: bytes | str, provider: Provider, settings: RuntimeSettings) -> Any:
    """Return a session for a serialised graph or the path of one."""
    chosen: list[Any] = ["CPUExecutionProvider"]
    if provider is Provider.CUDA:
        chosen.insert(0, (provider.library_name, _device_options(settings)))
    try:
        return onnxruntime.InferenceSession(source, _options(settings), providers=chosen)
    except Exception as error:  # the library's exceptions share no base
        raise RuntimeFailedError(f"ONNX Runtime cannot load the model: {error}") from error


def _device_options(settings: RuntimeSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"device_id": settings.device}
    if settings.memory_bytes is not None:
        options["gpu_mem_limit"] = settings.memory_bytes
    return options


def _options(settings: RuntimeSettings) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    spinning = "1" if settings.spinning else "0"
    options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", _INT8_ACTIVATIONS)
    return options
