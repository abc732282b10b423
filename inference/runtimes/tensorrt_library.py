"""NVIDIA's TensorRT and TensorRT for RTX, which share one Python interface.

An ONNX graph goes in and a compiled engine comes out; an engine is called with addresses.
"""

import importlib
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import structlog

from inference.runtimes.device import Device
from inference.runtimes.engines import Profile, Tensor
from inference.runtimes.probe import Gpu
from inference.runtimes.runtime import RuntimeFailedError, RuntimeMissingError

_PROTOBUF_LIMIT = 2**31 - 2**20
_KEPT_MESSAGES = 1000
_EXTRAS = {"tensorrt": "warmfront[tensorrt]", "tensorrt_rtx": "warmfront[tensorrt-rtx]"}

_log = structlog.get_logger(__name__)


def load_library(name: str) -> "TensorRTLibrary":
    """Import `tensorrt` or `tensorrt_rtx`; the driver must have been probed before."""
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        raise RuntimeMissingError(
            f"{name} does not import ({error}); pip install '{_EXTRAS[name]}'"
        ) from error
    return TensorRTLibrary(module)


class TensorRTLibrary:
    """One of the two libraries."""

    def __init__(self, module: Any, *, largest_message: int = _PROTOBUF_LIMIT) -> None:
        self._trt = module
        self._logger = _logger(module)
        self._largest_message = largest_message  # bytes of a graph that is handed over in memory

    @property
    def name(self) -> str:
        """The library's own name."""
        return str(self._trt.__name__)

    @property
    def version(self) -> str:
        """Its version."""
        return str(self._trt.__version__)

    @property
    def captures(self) -> bool:
        """Whether it captures CUDA graphs by itself: TensorRT for RTX does."""
        return hasattr(self._trt, "CudaGraphStrategy")

    def require(self, gpu: Gpu) -> None:
        """Refuse a GPU of an architecture that the library was built without."""
        known = self._architectures
        if known and gpu.sm not in known:
            raise RuntimeMissingError(
                f"{self} does not know {gpu.name} ({gpu.sm}), only {', '.join(known)}; "
                f"use tensorrt: pip install '{_EXTRAS['tensorrt']}'"
            )

    def compile(self, model: onnx.ModelProto, profiles: Sequence[Profile], gpu: Gpu) -> bytes:
        """Compile a graph; the network's types are the graph's own.

        TensorRT compiles for the GPU that it runs on, TensorRT for RTX for any that it knows.
        """
        self._logger.messages.clear()
        builder = self._trt.Builder(self._logger)
        strong = 1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(strong)
        config = builder.create_builder_config()
        self._aim(config, gpu)
        for profile in profiles:
            config.add_optimization_profile(_profile(builder, profile))
        with self._parsed(network, model):
            self._allow_several_kernels(network)
            plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise RuntimeFailedError(f"{self} cannot compile the model: {self._logger.reason()}")
        self._refuse_ignored()
        return bytes(plan)

    def open(self, plan: bytes, device: Device, kernels: bytes | None) -> "TensorRTEngine":
        """Bring an engine into the device's memory."""
        self._logger.messages.clear()
        runtime = self._trt.Runtime(self._logger)
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise RuntimeFailedError(f"{self} refuses the engine: {self._logger.reason()}")
        return TensorRTEngine(self._trt, self._logger, (runtime, engine), device, kernels)

    @contextmanager
    def _parsed(self, network: Any, model: onnx.ModelProto) -> Iterator[None]:
        """Read the graph; the network's weights lie in the parser, and with it they go."""
        parser = self._trt.OnnxParser(network, self._logger)
        with tempfile.TemporaryDirectory(prefix="warmfront-") as folder:
            if not self._parse(parser, model, Path(folder) / "model.onnx"):
                problems = [_sentence(parser.get_error(at)) for at in range(parser.num_errors)]
                raise RuntimeFailedError(f"{self} cannot take the model: {'; '.join(problems)}")
            yield

    def _parse(self, parser: Any, model: onnx.ModelProto, path: Path) -> bool:
        size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
        if size < self._largest_message:
            return bool(parser.parse(model.SerializeToString()))
        onnx.save_model(model, path, save_as_external_data=True, location="weights")
        return bool(parser.parse_from_file(str(path)))

    def _refuse_ignored(self) -> None:
        """Refuse a model of which an input is not read: nothing fails, but answers are wrong."""
        ignored = [text for text in self._logger.messages if text.startswith("Unused Input")]
        if ignored:
            raise RuntimeFailedError(f"{self} would ignore part of the model: {ignored[0]}")

    @property
    def _architectures(self) -> list[str]:
        """Those that TensorRT for RTX compiles for; TensorRT takes the GPU that is there."""
        if not self.captures:
            return []
        return [name for name in dir(self._trt.ComputeCapability) if name.startswith("SM")]

    def _allow_several_kernels(self, network: Any) -> None:
        """Let attention be computed in steps where no one kernel does it all, as in float32."""
        for at in range(network.num_layers):
            layer = network.get_layer(at)
            if layer.type == self._trt.LayerType.ATTENTION_INPUT:
                layer.__class__ = self._trt.IAttentionInputLayer  # how its Python casts
                layer.attention.decomposable = True

    def _aim(self, config: Any, gpu: Gpu) -> None:
        self.require(gpu)
        if self._architectures:
            config.num_compute_capabilities = 1
            config.set_compute_capability(getattr(self._trt.ComputeCapability, gpu.sm), 0)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class TensorRTEngine:
    """A compiled graph, opened by one of the libraries."""

    def __init__(
        self, trt: Any, logger: Any, opened: tuple[Any, Any], device: Device, kernels: bytes | None
    ) -> None:
        self._trt = trt
        self._logger = logger
        self._runtime, self._engine = opened  # the runtime must outlive its engine
        self._device = device
        self._config = self._runtime_config(kernels)

    @property
    def weights_bytes(self) -> int:
        """Device memory of the weights."""
        return int(self._engine.get_engine_stat(self._trt.EngineStat.TOTAL_WEIGHTS_SIZE))

    @property
    def scratch_bytes(self) -> int:
        """Device memory that any one call needs while it runs."""
        return int(self._engine.device_memory_size_v2)

    def prepare(self, profile: int, tensors: Mapping[str, Tensor], scratch: int) -> "_Context":
        """Set a call up in a context of its own, as captured graphs want it."""
        context = self._engine.create_execution_context(self._config)
        self._require(context is not None, "no execution context")
        chosen = context.set_optimization_profile_async(profile, self._device.stream)
        self._require(chosen, f"profile {profile} cannot be chosen")
        for name, (address, shape) in tensors.items():
            if self._engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT:
                allowed = context.set_input_shape(name, shape)
                self._require(allowed, f"{name} cannot be {shape}")
            placed = context.set_tensor_address(name, address)
            self._require(placed, f"{name} cannot lie at {address}")
        context.set_device_memory(scratch, self.scratch_bytes)
        self._device.synchronize()  # the change of profile is on the stream
        return _Context(context, self._logger, self._device)

    def plan(self) -> bytes:
        """Return the engine in a form that can be opened again."""
        return bytes(self._engine.serialize())

    def kernels(self) -> bytes | None:
        """Return the kernels that TensorRT for RTX compiled while running."""
        if not hasattr(self._config, "get_runtime_cache"):
            return None
        return bytes(self._config.get_runtime_cache().serialize())

    def close(self) -> None:
        """Free the device's memory."""
        self._config = self._engine = self._runtime = None

    def _require(self, granted: Any, problem: str) -> None:
        if not granted:
            raise RuntimeFailedError(f"{problem}: {self._logger.reason()}")

    def _runtime_config(self, kernels: bytes | None) -> Any:
        """Return how contexts are made: their memory is ours, so that they can share it."""
        ours = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not hasattr(self._trt, "CudaGraphStrategy"):
            return ours
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(ours)
        config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        cache = config.create_runtime_cache()
        if kernels is not None:
            cache.deserialize(kernels)
        config.set_runtime_cache(cache)
        return config


class _Context:
    """One execution context, set up."""

    def __init__(self, context: Any, logger: Any, device: Device) -> None:
        self._context = context
        self._logger = logger
        self._device = device

    def enqueue(self) -> None:
        """Put the call on the device's stream."""
        if not self._context.execute_async_v3(self._device.stream):
            raise RuntimeFailedError(f"the engine does not run: {self._logger.reason()}")


def _profile(builder: Any, ranges: Profile) -> Any:
    profile = builder.create_optimization_profile()
    for name, shapes in ranges.items():
        profile.set_shape(name, *shapes)
    return profile


def _sentence(error: Any) -> str:
    node = error.node_name() or f"node {error.node()}"
    return f"{node} ({error.node_operator()}): {error.desc()}"


def _logger(trt: Any) -> Any:
    """Make a logger that keeps what was said last, for the message of an error."""
    severity = trt.ILogger.Severity

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.messages: deque[str] = deque(maxlen=_KEPT_MESSAGES)
            self.errors: deque[str] = deque(maxlen=_KEPT_MESSAGES)

        def log(self, level: Any, text: str) -> None:
            if level > severity.WARNING:
                return
            self.messages.append(text)
            if level <= severity.ERROR:
                self.errors.append(text)
            _log.debug("TensorRT says", level=str(level), text=text)

        def reason(self) -> str:
            said = self.errors or self.messages
            text = said[-1].strip() if said else "it does not say why"
            self.errors.clear()
            return text

    return Logger()
