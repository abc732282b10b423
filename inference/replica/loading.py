"""Loading a model: a Hugging Face folder in, an engine that is ready to start out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inference.engine.engine import Engine, IterationReport
from inference.engine.profile import IterationCost, profile
from inference.engine.scheduler import Limits
from inference.models.checkpoint import load_weights
from inference.models.generation import GenerationDefaults, load_generation_defaults
from inference.models.spec import ModelError, ModelSpec, load_spec
from inference.models.tokenizer import Tokenizer, load_tokenizer
from inference.replica.settings import EngineSettings
from inference.runtimes.onnx import OnnxRuntime
from telemetry.clock import Clock

_FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory, its engine not yet started."""

    spec: ModelSpec
    defaults: GenerationDefaults
    tokenizer: Tokenizer
    engine: Engine
    cost: IterationCost


def load_model(
    folder: Path,
    settings: EngineSettings,
    *,
    clock: Clock,
    observe: Callable[[IterationReport], None],
) -> LoadedModel:
    """Read, build and profile a model; ModelError or RuntimeFailedError says what is wrong."""
    spec, defaults = load_spec(folder), load_generation_defaults(folder)
    tokenizer = load_tokenizer(folder)
    if tokenizer.size > spec.vocabulary:
        raise ModelError(
            f"{folder}: the tokenizer has {tokenizer.size} tokens, the model {spec.vocabulary}"
        )
    runtime = OnnxRuntime(threads=settings.threads)
    runtime.load(spec, load_weights(folder, spec))
    blocks = kv_blocks(spec, settings, runtime.block_size)
    runtime.allocate_kv(blocks)
    cost = profile(
        runtime,
        slots=settings.slots,
        context=spec.positions,
        blocks=blocks,
        clock=clock,
        min_iteration_seconds=settings.min_iteration_seconds,
    )
    engine = Engine(
        runtime,
        blocks=blocks,
        limits=Limits(settings.slots, settings.token_budget),
        context=spec.positions,
        clock=clock,
        max_waiting=settings.max_waiting,
        min_iteration_seconds=settings.min_iteration_seconds,
        observe=observe,
    )
    return LoadedModel(spec, defaults, tokenizer, engine, cost)


def kv_blocks(spec: ModelSpec, settings: EngineSettings, block_size: int) -> int:
    """Return enough blocks for every slot at full context, or what the memory bound holds."""
    token_bytes = 2 * spec.layers * spec.keys * _FLOAT32_BYTES  # keys and values
    affordable = settings.kv_memory_bytes // (token_bytes * block_size)
    useful = settings.slots * -(-spec.positions // block_size)
    return max(1, min(useful, affordable)) + 1
