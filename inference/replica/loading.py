"""Loading a model: a folder in, engines that are ready to start out, every phase timed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry.trace import Tracer

from inference.engine.admission import Admission, Continuous, Dynamic, Static
from inference.engine.engine import Engine
from inference.engine.grammar import Grammars
from inference.engine.profile import IterationCost, profile
from inference.engine.scheduler import Limits
from inference.models.checkpoint import load_weights
from inference.models.generation import load_generation_defaults
from inference.models.repository import Kind, ModelVersion
from inference.models.spec import ModelError, ModelSpec, load_spec
from inference.models.tokenizer import Tokenizer, load_tokenizer
from inference.replica.generator import Generator, own_phases
from inference.replica.hosted import Hosted
from inference.replica.metrics import ModelMetrics, ReplicaMetrics
from inference.replica.models import Served
from inference.replica.settings import Batching, EngineSettings
from inference.runtimes.choose import choose_runtime
from inference.runtimes.phases import Phases
from inference.runtimes.runtime import Runtime, RuntimeSettings
from telemetry.clock import Clock

if TYPE_CHECKING:
    from inference.replica.images import ImageStage


@dataclass(frozen=True, slots=True)
class Loading:
    """What loading needs beside the model: settings, and where times are told."""

    settings: EngineSettings
    metrics: ModelMetrics
    clock: Clock
    phases: Phases


def load_hosted(
    version: ModelVersion,
    settings: EngineSettings,
    metrics: ReplicaMetrics,
    *,
    tracer: Tracer,
    clock: Clock,
    before: Mapping[str, float],
) -> Hosted:
    """Load a version of any kind; `before` are phases that came first, in seconds."""
    own = settings.for_model(version.config)
    with tracer.start_as_current_span(f"load {version.name}"):
        phases = Phases(clock, tracer)
        loading = Loading(own, metrics.of(version.name), clock, phases)
        hosted, parts = _load(version, loading)
    loading.metrics.loaded("loaded", {**before, **phases.seconds, **parts})
    return hosted


def _load(version: ModelVersion, loading: Loading) -> tuple[Hosted, Mapping[str, float]]:
    """Return the model, and the phases that its runtime timed itself."""
    if version.kind is Kind.GENERATE:
        generator = load_generator(version, loading)
        return generator, own_phases(generator.runtimes[0])
    from inference.replica.step_model import load_step_model  # noqa: PLC0415 - seldom used

    with loading.phases.measure("session"):
        return load_step_model(version, loading.settings, loading.metrics, loading.clock), {}


def load_generator(version: ModelVersion, loading: Loading) -> Generator:
    """Read, build and profile a model; ModelError or RuntimeFailedError says what is wrong."""
    phases, folder = loading.phases, version.folder
    with phases.measure("tokenizer"):
        spec, tokenizer = _spec_and_tokenizer(folder)
    with phases.measure("library"):
        runtimes = [_runtime(loading.settings) for _ in range(loading.settings.instances)]
    _read(folder, spec, runtimes, phases)
    blocks = _allocate(runtimes, spec, loading)
    with phases.measure("profile"):
        cost = _profile(runtimes[0], spec, blocks, loading)
    reloading = tuple(Phases(loading.clock) for _ in runtimes)
    engines = tuple(
        _engine(runtime, spec, blocks, loading, partial(_read, folder, spec, [runtime], timed))
        for runtime, timed in zip(runtimes, reloading, strict=True)
    )
    load_images = None if spec.image_token is None else partial(_images, folder, loading)
    return Generator(
        Served(
            version.name,
            engines,
            tokenizer,
            spec.vocabulary,
            spec.stop_tokens,
            load_generation_defaults(folder),
            _grammars(tokenizer, spec),
            image_token=spec.image_token,
            images=None if load_images is None else load_images(phases),
        ),
        cost,
        kv_bytes=len(engines) * blocks * runtimes[0].block_bytes,
        paced_seconds=loading.settings.min_iteration_seconds,
        runtimes=tuple(runtimes),
        reloading=reloading,
        load_images=load_images,
    )


def kv_blocks(settings: EngineSettings, *, context: int, block_size: int, block_bytes: int) -> int:
    """Return enough blocks for every slot at full context, or what the memory bound holds.

    The null block is among them. Where a sequence has one row, a block is as long as the context.
    """
    affordable = settings.kv_memory_bytes // block_bytes
    useful = settings.slots * -(-context // block_size) + 1
    return max(2, min(useful, affordable))


def _spec_and_tokenizer(folder: Path) -> tuple[ModelSpec, Tokenizer]:
    spec, tokenizer = load_spec(folder), load_tokenizer(folder)
    if tokenizer.size > spec.vocabulary:
        raise ModelError(
            f"{folder}: the tokenizer has {tokenizer.size} tokens, the model {spec.vocabulary}"
        )
    return spec, tokenizer


def _grammars(tokenizer: Tokenizer, spec: ModelSpec) -> Grammars:
    return Grammars(tokenizer.to_json, vocabulary=spec.vocabulary, stop_tokens=spec.stop_tokens)


def _images(folder: Path, loading: Loading, phases: Phases) -> "ImageStage":
    """Load what a model sees with; the libraries for it are imported for no other."""
    from inference.replica.images import load_image_stage  # noqa: PLC0415 - seldom used

    with phases.measure("vision"):
        stage = load_image_stage(folder, clock=loading.clock, threads=loading.settings.threads)
    if stage is None:
        raise ModelError(f"{folder}: has a token for images, but nothing to see them with")
    return stage


def _runtime(settings: EngineSettings) -> Runtime:
    return choose_runtime(
        settings.runtime,
        RuntimeSettings(
            lowering=settings.lowering,
            precision=settings.precision,
            threads=settings.threads,
            block_size=settings.block_size,
            device=settings.device,
            cache=settings.cache,
        ),
    )


def _read(folder: Path, spec: ModelSpec, runtimes: list[Runtime], phases: Phases) -> None:
    """Read the weights from disk and put them on the device, once for each instance."""
    with phases.measure("weights"):
        weights = load_weights(folder, spec)
    with phases.measure("session"):
        for runtime in runtimes:
            runtime.load(spec, weights)


def _allocate(runtimes: list[Runtime], spec: ModelSpec, loading: Loading) -> int:
    """Make room for the KV of every instance; return the blocks of each."""
    blocks = kv_blocks(
        loading.settings,
        context=spec.positions,
        block_size=runtimes[0].block_size,
        block_bytes=runtimes[0].block_bytes,
    )
    with loading.phases.measure("kv"):
        for runtime in runtimes:
            runtime.allocate_kv(blocks)
    return blocks


def _profile(runtime: Runtime, spec: ModelSpec, blocks: int, loading: Loading) -> IterationCost:
    return profile(
        runtime,
        slots=loading.settings.slots,
        context=spec.positions,
        blocks=blocks,
        clock=loading.clock,
        min_iteration_seconds=loading.settings.min_iteration_seconds,
    )


def _engine(
    runtime: Runtime,
    spec: ModelSpec,
    blocks: int,
    loading: Loading,
    reload: Callable[[], None],
) -> Engine:
    settings = loading.settings
    budget = max(settings.token_budget, 2 * settings.slots)
    return Engine(
        runtime,
        blocks=blocks,
        limits=Limits(settings.slots, budget),
        context=spec.positions,
        clock=loading.clock,
        max_waiting=settings.max_waiting,
        min_iteration_seconds=settings.min_iteration_seconds,
        observe=loading.metrics.iterated,
        admission=_admission(settings),
        reload=reload,
    )


def _admission(settings: EngineSettings) -> Admission:
    match settings.policy:
        case Batching.CONTINUOUS:
            return Continuous()
        case Batching.STATIC:
            return Static(settings.slots)
        case Batching.DYNAMIC:
            return Dynamic(settings.slots, settings.max_queue_delay_seconds)
