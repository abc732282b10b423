"""The decoder on an NVIDIA GPU: TensorRT and TensorRT for RTX, by one runtime.

probe -> graph -> plan (from the cache, or compiled) -> engine -> KV -> calls by shape.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import structlog
from numpy.typing import NDArray
from opentelemetry.trace import Tracer

from inference.models.checkpoint import Weights
from inference.models.precision import Precision
from inference.models.spec import ModelSpec
from inference.runtimes.engines import Engine
from inference.runtimes.machine import Machine, open_machine
from inference.runtimes.phases import Phases
from inference.runtimes.plan_cache import PlanCache, cache_key
from inference.runtimes.probe import Gpu
from inference.runtimes.row_order import RowOrder
from inference.runtimes.runtime import (
    Batch,
    BlockCopy,
    RuntimeFailedError,
    RuntimeSettings,
    SleepLevel,
)
from inference.runtimes.shapes import Piece, ShapeLimits, bucket, padded, pieces, reordered
from inference.runtimes.tensorrt_budget import check_blocks, check_fits, fixed_bytes
from inference.runtimes.tensorrt_calls import Calls
from inference.runtimes.tensorrt_graph import DecoderGraph, Shape, decoder_graph, fingerprint
from inference.runtimes.tensorrt_kv import KvMemory
from telemetry.clock import Clock, SystemClock

_log = structlog.get_logger(__name__)


class TensorRTRuntime:
    """Runs one model by engines that TensorRT compiled for this very GPU.

    The lowering `kvupdate` keeps a row of KV per sequence, `hostkv` pools of blocks; `paged` is
    taken as `hostkv`. Not safe for threads: one at a time, whichever it is.
    """

    def __init__(
        self,
        settings: RuntimeSettings,
        *,
        library: str = "tensorrt",
        limits: ShapeLimits | None = None,
        activation_scales: Mapping[str, float] | None = None,
        clock: Clock | None = None,
        tracer: Tracer | None = None,
        machine: Callable[[], Machine] | None = None,
    ) -> None:
        self._settings = settings
        self._limits = limits or ShapeLimits()
        self._scales = activation_scales
        self._phases = Phases(clock or SystemClock(), tracer)
        self._open_machine = machine or (lambda: open_machine(library, settings.device))
        self._cache = PlanCache(settings.cache)
        self._machine: Machine | None = None
        self._graph: DecoderGraph | None = None
        self._key = ""
        self._plan: bytes | None = None  # only while asleep
        self._budget = 0
        self._engine: Engine | None = None
        self._kv: KvMemory | None = None
        self._calls: Calls | None = None

    @property
    def block_size(self) -> int:
        """Tokens per KV block; known once a model is loaded."""
        return self._form().block_size

    @property
    def block_bytes(self) -> int:
        """Memory of one KV block, all layers together; known once a model is loaded."""
        return self._form().kv.block_bytes

    @property
    def phases(self) -> Mapping[str, float]:
        """Seconds that each phase of the last start or wake took."""
        return self._phases.seconds

    @property
    def memory_left(self) -> int:
        """Bytes of the budget that are left for KV blocks."""
        graph, engine = self._form(), self._opened()
        return self._budget - fixed_bytes(graph, engine.weights_bytes, engine.scratch_bytes)

    def load(self, spec: ModelSpec, weights: Weights) -> None:
        """Compile the model for this GPU, or read what was compiled before, and open it."""
        self.close()
        self._phases.clear()
        with self._phases.measure("device"):
            self._machine = self._open_machine()
            self._machine.device.enter()
            free = self._machine.device.free_bytes()
            self._budget = min(self._settings.memory_bytes or free, free)
        with self._phases.measure("graph"):
            self._graph = self._graph_for(spec, self._machine.gpu)
            model = self._graph.build(weights, self._scales)
            profiles = self._graph.profiles(self._machine.gpu.memory_bytes)
            self._key = self._key_of(fingerprint(model), repr(profiles))
        engine = self._kept()
        if engine is None:
            with self._phases.measure("build"):
                plan = self._machine.library.compile(model, profiles, self._machine.gpu)
            self._cache.write(self._key, plan)
            self._check_plan(plan)
            engine = self._deserialized(plan)
        self._take(engine)

    def allocate_kv(self, blocks: int) -> None:
        """Make room for KV blocks, and run each profile once so that no request pays for it."""
        machine, graph, engine = self._driven(), self._form(), self._opened()
        self._release_kv()
        check_blocks(self._budget, graph, engine, blocks)
        with self._phases.measure("kv"):
            self._kv = KvMemory(machine.device, graph.kv, blocks)
            self._rows = RowOrder(blocks)
            capture = not machine.library.captures
            self._calls = Calls(machine.device, engine, graph, self._kv, capture=capture)
        with self._phases.measure("warm_up"):
            self._warm_up(graph)

    def copy_blocks(self, copies: Sequence[BlockCopy]) -> None:
        """Copy KV between blocks, in order, before the next step."""
        self._driven().device.enter()
        kv, _ = self._allocated()
        if self._form().lowering.is_paged:
            kv.copy(copies)
            return
        for source, target, tokens in copies:
            kv.copy([BlockCopy(self._rows.row(source), self._rows.row(target), tokens)])
            self._rows.fill(target, tokens)

    def step(self, batch: Batch) -> NDArray[np.float32]:
        """Compute the batch in as many calls as its shape takes; return logits [B, vocabulary]."""
        graph = self._form()
        self._driven().device.enter()
        self._allocated()
        _check_tokens(batch, graph.spec)
        logits = np.empty((len(batch.tokens), graph.spec.vocabulary), np.float32)
        for piece in pieces(batch, self._limits, distinct=not graph.lowering.is_paged):
            found = self._paged(piece) if graph.lowering.is_paged else self._in_rows(piece)
            logits[piece.members[piece.ends]] = found[piece.ends]
        return logits

    def sleep(self, level: SleepLevel) -> None:
        """Give up the device's memory; at level 1 the plan stays in the host's."""
        engine = self._opened()
        self._driven().device.enter()
        keep = level == SleepLevel.HOST_WEIGHTS
        self._plan = (self._cache.read(self._key) or engine.plan()) if keep else None
        self._release_engine()

    def wake(self) -> None:
        """Bring the engine back from level 1, unless it is there; `allocate_kv` must follow."""
        if self._engine is not None:
            return
        if self._plan is None:
            raise RuntimeFailedError("there is nothing to wake: call load, which reads the model")
        self._driven().device.enter()
        self._phases.clear()
        self._take(self._deserialized(self._plan))
        self._plan = None

    def close(self) -> None:
        """Give up everything, the device too."""
        self._plan = None
        if self._machine is not None:
            self._machine.device.enter()
            self._release_engine()
            self._machine.device.close()
            self._machine = None

    def _graph_for(self, spec: ModelSpec, gpu: Gpu) -> DecoderGraph:
        return decoder_graph(
            spec,
            lowering=self._settings.lowering,
            precision=self._settings.precision or spec.stored_precision or Precision.FP16,
            block_size=self._settings.block_size,
            limits=self._limits,
            gpu=gpu,
        )

    def _key_of(self, *parts: str) -> str:
        machine = self._driven()
        return cache_key(machine.library.name, machine.library.version, machine.gpu.sm, *parts)

    def _kept(self) -> Engine | None:
        """Open the plan from the cache; one that the library refuses is forgotten."""
        plan = self._cache.read(self._key)
        if plan is None:
            return None
        self._check_plan(plan)
        try:
            return self._deserialized(plan)
        except RuntimeFailedError as error:
            _log.warning("compiled engine refused: it is built anew", reason=str(error))
            self._cache.drop(self._key)
            return None

    def _deserialized(self, plan: bytes) -> Engine:
        machine = self._driven()
        with self._phases.measure("deserialize"):
            kernels = self._cache.read(f"{self._key}.kernels")
            return machine.library.open(plan, machine.device, kernels)

    def _check_plan(self, plan: bytes) -> None:
        check_fits(self._budget, self._form(), len(plan), 0)  # a plan is mostly its weights

    def _take(self, engine: Engine) -> None:
        """Keep an engine, if all that it needs is within the budget."""
        try:
            check_fits(self._budget, self._form(), engine.weights_bytes, engine.scratch_bytes)
        except RuntimeFailedError:
            engine.close()
            raise
        self._engine = engine

    def _warm_up(self, graph: DecoderGraph) -> None:
        """Run a call of each profile on the null block, and keep what the library compiled."""
        null = np.zeros((1, 1), np.int64)
        for width in (1, graph.limits.chunk):
            grid = np.zeros((1, width), np.int64)
            self.step(Batch(grid, grid, grid, null, np.array([width - 1])))
        kernels = self._opened().kernels()
        if kernels is not None:
            self._cache.write(f"{self._key}.kernels", kernels)

    def _paged(self, piece: Piece) -> NDArray[np.float32]:
        shape = self._shape(piece, self._limits.rows(piece.batch.tokens.shape[1]))
        return self._run(piece.batch, shape, first=0, before=0)

    def _in_rows(self, piece: Piece) -> NDArray[np.float32]:
        """Bring the rows of a piece together and compute them in the order in which they lie."""
        kv, _ = self._allocated()
        batch, count = piece.batch, len(piece.members)
        lengths = batch.positions[np.arange(count), batch.last] + 1
        there = self._rows.arrange(batch.block_tables[:, 0], lengths)
        kv.copy(there.copies)
        shape = self._shape(piece, min(self._limits.rows(batch.tokens.shape[1]), kv.blocks))
        first = min(there.start, kv.blocks - shape.rows)
        found = self._run(
            reordered(batch, there.order), shape, first=first, before=there.start - first
        )
        return found[np.argsort(there.order)]

    def _shape(self, piece: Piece, most_rows: int) -> Shape:
        batch, graph = piece.batch, self._form()
        images = 0 if batch.images is None else len(batch.images.rows)
        rows, width = batch.tokens.shape
        largest = graph.largest[0 if width == 1 else 1]
        return Shape(
            bucket(rows, most_rows),
            bucket(width, largest.width),
            bucket(batch.block_tables.shape[1], largest.blocks),
            bucket(images, largest.images) if images else 0,
        )

    def _run(self, batch: Batch, shape: Shape, *, first: int, before: int) -> NDArray[np.float32]:
        """Compute rows padded to a shape, `before` of the added rows lying before them."""
        count = len(batch.tokens)
        _, calls = self._allocated()
        full = padded(
            batch, rows=shape.rows, width=shape.width, blocks=shape.blocks, images=shape.images
        )
        real = np.arange(shape.rows) < count
        if before:
            full = reordered(full, np.roll(np.arange(shape.rows), before))
            real = np.roll(real, before)
        return calls.run(full, shape, first=first, real=real)[before : before + count]

    def _release_kv(self) -> None:
        if self._calls is not None:
            self._calls.close()
            self._calls = None
        if self._kv is not None:
            self._kv.release()
            self._kv = None

    def _release_engine(self) -> None:
        self._release_kv()
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _driven(self) -> Machine:
        if self._machine is None:
            raise RuntimeFailedError("no model is loaded: call load first")
        return self._machine

    def _form(self) -> DecoderGraph:
        if self._graph is None:
            raise RuntimeFailedError("no model is loaded: call load first")
        return self._graph

    def _opened(self) -> Engine:
        if self._engine is None:
            raise RuntimeFailedError("no model is on the device: call load, or wake, first")
        return self._engine

    def _allocated(self) -> tuple[KvMemory, Calls]:
        if self._kv is None or self._calls is None:
            raise RuntimeFailedError("there is no room for KV yet: call allocate_kv first")
        return self._kv, self._calls


def _check_tokens(batch: Batch, spec: ModelSpec) -> None:
    """Refuse what would read beyond a table: a GPU does not notice."""
    for name, values, limit in (
        ("token", batch.tokens, spec.vocabulary),
        ("position", batch.positions, spec.positions),
    ):
        if values.min() < 0 or values.max() >= limit:
            raise RuntimeFailedError(
                f"TensorRT failed in a step: expected each {name} within 0…{limit - 1}, "
                f"got {values.min()}…{values.max()}"
            )
