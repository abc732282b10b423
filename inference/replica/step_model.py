"""A loaded model that answers in one step: embeddings, classes, any graph."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from inference.models.repository import Kind, ModelVersion
from inference.replica.background import in_daemon_thread
from inference.replica.metrics import ModelGauges, ModelMetrics
from inference.replica.models import Served
from inference.replica.settings import EngineSettings
from inference.replica.tensor_model import TensorModel, TensorSettings, load_tensor_model
from inference.runtimes.runtime import SleepLevel
from telemetry.clock import Clock

_LOOK_SECONDS = 0.01


class StepModel:
    """The model and how to load it again; `tensor` is None while it is asleep."""

    served: Served | None = None

    def __init__(
        self, tensor: TensorModel, load: Callable[[], TensorModel], *, slots: int, clock: Clock
    ) -> None:
        self.tensor: TensorModel | None = tensor
        self.name = tensor.name
        self._modalities = ("text",) if tensor.embedder is not None else ()
        self._load = load
        self._slots = slots
        self._clock = clock

    def start(self) -> None:
        """Take requests from here on."""
        if self.tensor is not None:
            self.tensor.start()

    def standing(self) -> ModelGauges:
        """Return how many requests wait; those that are computed are not told apart."""
        waiting, age = 0, 0.0
        if self.tensor is not None:
            waiting, age = self.tensor.waiting, self.tensor.progress_age
        return ModelGauges(0, waiting, self._slots, progress_age=age, modalities=self._modalities)

    async def idle(self) -> None:
        """Wait until no request waits; stopping finishes what is being computed."""
        while self.standing().waiting:  # noqa: ASYNC110 - batches tell nobody
            await asyncio.sleep(_LOOK_SECONDS)

    async def failed(self) -> str:
        """Wait for ever: a batch that fails leaves the model as it was."""
        await asyncio.Event().wait()
        raise AssertionError  # never set

    async def sleep(self, level: SleepLevel) -> None:
        """Drop the graph at level 2; at level 1 it is in host memory, where it stays."""
        if level is SleepLevel.NOTHING and self.tensor is not None:
            await self.tensor.stop()
            self.tensor = None

    async def wake(self) -> Mapping[str, float]:
        """Load the graph again where it was dropped."""
        if self.tensor is not None:
            return {}
        began = self._clock.monotonic()
        self.tensor = await in_daemon_thread(self._load)
        self.tensor.start()
        return {"session": self._clock.monotonic() - began}

    async def stop(self) -> None:
        """Finish what is being computed, refuse what waits."""
        if self.tensor is not None:
            await self.tensor.stop()


def load_step_model(
    version: ModelVersion, settings: EngineSettings, metrics: ModelMetrics, clock: Clock
) -> StepModel:
    """Load a graph that answers in one step; ModelError or RuntimeFailedError says what fails."""
    load = partial(
        load_tensor_model,
        version.folder,
        version.name,
        TensorSettings(
            settings.max_batch,
            settings.max_queue_delay_seconds,
            settings.max_waiting,
            settings.instances,
        ),
        clock=clock,
        version=version.version,
        threads=settings.threads,
        embeds=version.kind is Kind.EMBED,
        observe=metrics.batched,
    )
    slots = settings.instances * settings.max_batch
    return StepModel(load(), load, slots=slots, clock=clock)
