"""Calls of one engine, each set up once for its shape, and captured when it comes again."""

from collections import OrderedDict
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from inference.models.precision import Lowering
from inference.runtimes.arena import Arena, total
from inference.runtimes.device import Append, CapturedWork, Device
from inference.runtimes.engines import Engine, Tensor
from inference.runtimes.runtime import Batch, RuntimeFailedError
from inference.runtimes.tensorrt_graph import DECODE, PREFILL, DecoderGraph, Shape
from inference.runtimes.tensorrt_kv import KvMemory

_MOST_CALLS = 64
_POINTER_BYTES = 8

_log = structlog.get_logger(__name__)


class Calls:
    """An engine with memory around it: what runs batches of the shapes it was compiled for."""

    def __init__(
        self, device: Device, engine: Engine, graph: DecoderGraph, kv: KvMemory, *, capture: bool
    ) -> None:
        self._device = device
        self._engine = engine
        self._graph = graph
        self._kv = kv
        self._capture = capture
        self._calls: OrderedDict[tuple[Shape, int], _Call] = OrderedDict()
        self._inputs = Arena(device, inputs_bytes(graph), host=True)
        self._outputs = Arena(device, outputs_bytes(graph), host=False)
        self._logits = device.host_bytes(logits_bytes(graph))
        self._scratch = device.allocate(engine.scratch_bytes)
        self._tables: dict[Shape, int] = {}

    def run(
        self, batch: Batch, shape: Shape, *, first: int, real: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Compute a padded batch whose rows, if it has any, begin at place `first`."""
        call = self._call(shape, first)
        self._graph.fill(call.views, batch, real)
        call.run()
        return call.logits

    def close(self) -> None:
        """Free all memory but the engine's and the KV."""
        self._device.synchronize()
        for call in self._calls.values():
            call.close()
        self._calls.clear()
        for address in (*self._tables.values(), self._scratch):
            self._device.release(address)
        self._tables.clear()
        self._inputs.release()
        self._outputs.release()
        self._device.release_host(self._logits)

    def _call(self, shape: Shape, first: int) -> "_Call":
        key = (shape, first)
        if key not in self._calls:
            if len(self._calls) >= _MOST_CALLS:
                self._calls.popitem(last=False)[1].close()
            self._calls[key] = self._prepare(shape, first)
        self._calls.move_to_end(key)
        return self._calls[key]

    def _prepare(self, shape: Shape, first: int) -> "_Call":
        inputs, outputs = self._graph.inputs(shape), self._graph.outputs(shape)
        given, made = self._inputs.cut(inputs), self._outputs.cut(outputs)
        tensors = {name: Tensor(given[name], inputs[name].shape) for name in inputs}
        tensors |= {name: Tensor(made[name], outputs[name].shape) for name in outputs}
        tensors |= self._cached(shape, first)
        slots = tensors.pop("slots", None)
        append = None if slots is None else self._append(shape, slots.address, made)
        profile = DECODE if shape.width == 1 else PREFILL
        prepared = self._engine.prepare(profile, tensors, self._scratch)

        def work() -> None:
            self._device.copy_in(self._inputs.address, self._inputs.host[: total(inputs)])
            prepared.enqueue()
            if append is not None:
                self._device.append_kv(append)
            self._device.copy_out(logits, made["logits"])

        size = outputs["logits"].shape
        logits = self._logits[: 4 * size[0] * size[1]].view(np.float32).reshape(size)
        return _Call(self._device, work, self._inputs.views(inputs), logits, capture=self._capture)

    def _cached(self, shape: Shape, first: int) -> dict[str, Tensor]:
        """Bind keys and values; updated in place, they go out where they came in."""
        size = self._graph.kv_tensor(shape, self._kv.blocks)
        tensors = {name: Tensor(address, size) for name, address in self._kv.at(first).items()}
        if self._graph.lowering is Lowering.KVUPDATE:
            tensors |= {f"{name}_out": tensor for name, tensor in tensors.items()}
        return tensors

    def _append(self, shape: Shape, slots: int, made: dict[str, int]) -> Append:
        kv = self._graph.kv
        if shape not in self._tables:
            addresses = [*self._kv.addresses.values(), *(made[f"{name}_new"] for name in kv.names)]
            tables = self._device.host_bytes(_POINTER_BYTES * len(addresses))
            tables.view(np.uint64)[:] = addresses
            self._tables[shape] = self._device.allocate(tables.nbytes)
            self._device.copy_in(self._tables[shape], tables)
            self._device.release_host(tables)
        return Append(
            tables=self._tables[shape],
            slots=slots,
            pools=len(kv.names),
            rows=shape.rows,
            heads=kv.heads,
            tokens=shape.width,
            head_slots=self._kv.blocks * kv.tokens,
            row_bytes=kv.token_bytes,
        )


class _Call:
    """One shape at one place: run plainly at first, captured the second time."""

    def __init__(
        self,
        device: Device,
        work: Any,
        views: dict[str, NDArray[Any]],
        logits: NDArray[np.float32],
        *,
        capture: bool,
    ) -> None:
        self._device = device
        self._work = work
        self.views = views
        self.logits = logits
        self._capture = capture
        self._has_run = False
        self._captured: CapturedWork | None = None

    def run(self) -> None:
        """Compute what lies in the inputs, and wait for the logits."""
        if self._capture and self._has_run and self._captured is None:
            self._try_capture()
        if self._captured is not None:
            self._captured.launch()
        else:
            self._work()
        self._has_run = True
        self._device.synchronize()

    def close(self) -> None:
        """Give up what was captured."""
        if self._captured is not None:
            self._captured.close()

    def _try_capture(self) -> None:
        try:
            self._captured = self._device.capture(self._work)
        except RuntimeFailedError as error:
            _log.warning("a call cannot be captured: it runs uncaptured", reason=str(error))
            self._capture = False


def logits_bytes(graph: DecoderGraph) -> int:
    """Return the memory of the largest call's logits."""
    return max(graph.outputs(shape)["logits"].size for shape in graph.largest)


def inputs_bytes(graph: DecoderGraph) -> int:
    """Return the memory of the largest call's inputs."""
    return max(total(graph.inputs(shape)) for shape in graph.largest)


def outputs_bytes(graph: DecoderGraph) -> int:
    """Return the memory of the largest call's outputs, without the KV."""
    return max(total(graph.outputs(shape)) for shape in graph.largest)
