"""ONNX Runtime, on the CPU or on CUDA: the decoder graph with its KV updated in place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.models.checkpoint import Weights
from inference.models.graph.decoder import build_decoder
from inference.models.precision import Lowering
from inference.models.spec import ModelSpec
from inference.runtimes.onnx_binding import Bindings
from inference.runtimes.onnx_cache import Cache
from inference.runtimes.onnx_growing import GrowingRowCache
from inference.runtimes.onnx_memory import DeviceMemory, HostMemory, Memory, copying_graph
from inference.runtimes.onnx_parts import rows_of
from inference.runtimes.onnx_pools import HostKvCache, PagedCache
from inference.runtimes.onnx_rows import RowCache
from inference.runtimes.onnx_session import Provider, StoredGraph, open_session
from inference.runtimes.onnx_support import Numbers, numbers, refuse, step_error
from inference.runtimes.runtime import (
    Batch,
    BlockCopy,
    RuntimeFailedError,
    RuntimeSettings,
    SleepLevel,
)


@dataclass(frozen=True, slots=True)
class _Model:
    spec: ModelSpec
    numbers: Numbers
    graph: StoredGraph


@dataclass(frozen=True, slots=True)
class _Kv:
    cache: Cache
    bindings: Bindings


class OnnxRuntime:
    """Runs the decoder with ONNX Runtime's kernels, weight-only INT8 by default on the CPU."""

    def __init__(
        self,
        settings: RuntimeSettings = RuntimeSettings(),  # noqa: B008 - frozen
        *,
        provider: Provider = Provider.CPU,
    ) -> None:
        provider.require()
        self._settings = settings
        self._provider = provider
        self._model: _Model | None = None
        self._session: Any = None
        self._kv: _Kv | None = None

    @property
    def block_size(self) -> int:
        """Tokens per KV block: as set, or the whole context where a sequence has one row."""
        return self._block_size(self._loaded().spec)

    @property
    def block_bytes(self) -> int:
        """Memory of one KV block, all layers together."""
        spec, size = self._loaded().spec, self._loaded().numbers.kind.itemsize
        return 2 * spec.layers * spec.keys * self.block_size * size

    def load(self, spec: ModelSpec, weights: Weights) -> None:
        """Build the graph and let ONNX Runtime optimise it."""
        lowering, formats = self._settings.lowering, numbers(self._settings, spec, self._provider)
        refuse(spec, lowering, formats.precision, provider=self._provider)
        self.sleep(SleepLevel.NOTHING)
        graph = build_decoder(
            spec,
            weights,
            block_size=self._block_size(spec),
            lowering=lowering,
            precision=formats.precision,
            compute=formats.compute,
        )
        self._model = _Model(spec, formats, StoredGraph(graph))
        self.wake()

    def allocate_kv(self, blocks: int) -> None:
        """Make zeroed KV for `blocks` blocks; what was there is lost."""
        model = self._loaded()
        if self._session is None:
            raise RuntimeFailedError("the model is asleep: call wake first")
        self._kv = None
        self._check_budget(blocks)
        bindings = Bindings(
            self._session,
            self._provider,
            self._settings.device,
            model.numbers.kind,
            model.spec.vocabulary,
        )
        self._kv = _Kv(self._new_cache(model, blocks), bindings)

    def copy_blocks(self, copies: Sequence[BlockCopy]) -> None:
        """Copy KV between blocks, in order, before the next step."""
        self._allocated().cache.copy(copies)

    def step(self, batch: Batch) -> NDArray[np.float32]:
        """Compute the batch; return logits [B, vocabulary], valid until the next step."""
        kv = self._allocated()
        parts = kv.cache.parts(batch)
        if len(parts) == 1:
            return self._compute(kv, batch)
        logits = np.empty((len(batch.tokens), self._loaded().spec.vocabulary), np.float32)
        for rows in parts:
            logits[rows] = self._compute(kv, rows_of(batch, rows))
        return logits

    def sleep(self, level: SleepLevel) -> None:
        """Give up session and KV; at level 2 the graph with its weights too."""
        self._kv = None
        self._session = None
        if level is SleepLevel.NOTHING:
            self._model = None

    def wake(self) -> None:
        """Prepare the graph anew from host memory; `allocate_kv` must follow."""
        self._session = self._loaded().graph.open(self._provider, self._settings)

    def _compute(self, kv: _Kv, batch: Batch) -> NDArray[np.float32]:
        feed = kv.cache.feed(batch)
        bound = kv.bindings.at(kv.cache, feed.place, len(batch.tokens))
        bound.feed(feed.inputs)
        try:
            self._session.run_with_iobinding(bound.binding)
        except Exception as error:  # the library's exceptions share no base
            raise step_error(error) from error
        kv.cache.finish(batch, bound.outputs)
        return bound.logits

    def _new_cache(self, model: _Model, blocks: int) -> Cache:
        spec, lowering = model.spec, self._settings.lowering
        memory = self._new_memory(model.numbers.kind)
        if lowering is Lowering.ROWS:
            return GrowingRowCache(spec, memory, blocks=blocks)
        if not lowering.is_paged:
            return RowCache(spec, memory, lowering, blocks=blocks)
        made = HostKvCache if lowering is Lowering.HOSTKV else PagedCache
        return made(
            spec,
            memory,
            blocks=blocks,
            block_size=self._settings.block_size,
            weight_bytes=model.graph.size,
        )

    def _new_memory(self, kind: np.dtype[Any]) -> Memory:
        if self._provider is Provider.CPU:
            return HostMemory(kind)
        copying = open_session(copying_graph(kind), self._provider, self._settings)
        return DeviceMemory(kind, self._provider.value, self._settings.device, copying)

    def _check_budget(self, blocks: int) -> None:
        budget, weights = self._settings.memory_bytes, self._loaded().graph.size
        wanted = blocks * self.block_bytes
        if budget is not None and wanted + weights > budget:
            raise RuntimeFailedError(
                f"{wanted} bytes of KV and {weights} bytes of weights do not fit "
                f"the budget of {budget} bytes: give it fewer blocks, or a smaller model"
            )

    def _block_size(self, spec: ModelSpec) -> int:
        return self._settings.block_size if self._settings.lowering.is_paged else spec.positions

    def _loaded(self) -> _Model:
        if self._model is None:
            raise RuntimeFailedError("no model is loaded: call load first")
        return self._model

    def _allocated(self) -> _Kv:
        if self._kv is None:
            raise RuntimeFailedError("no KV is allocated: call load, then allocate_kv first")
        return self._kv
