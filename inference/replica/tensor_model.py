"""A model that answers in one step: arrays in and out, requests batched by their first axis."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.engine.admission import Dynamic
from inference.engine.batching import BatchReport, DynamicBatcher, ignore
from inference.errors import ApiError
from inference.replica.embeddings import TextEmbedder, load_text_embedder
from inference.runtimes.onnx_graph import Arrays, OnnxGraphModel
from inference.runtimes.runtime import RuntimeSettings
from telemetry.clock import Clock

ONNX_FILE = "model.onnx"


@dataclass(frozen=True, slots=True)
class TensorSettings:
    """How requests to a model are brought together."""

    max_batch: int = 8  # rows
    max_queue_delay: float = 0.0  # seconds that a request waits for company
    max_waiting: int = 256
    instances: int = 1  # batches computed at once

    @property
    def policy(self) -> Dynamic:
        """The rule of admission that this is."""
        return Dynamic(self.max_batch, self.max_queue_delay)


class TensorModel:
    """One such model, as it is served under a name."""

    def __init__(
        self,
        name: str,
        graph: OnnxGraphModel,
        settings: TensorSettings,
        *,
        clock: Clock,
        version: int = 1,
        embedder: TextEmbedder | None = None,
        observe: Callable[[BatchReport], None] = ignore,
    ) -> None:
        self.name = name
        self.version = version
        self.inputs = graph.inputs
        self.outputs = graph.outputs
        self.embedder = embedder
        self._graph = graph
        self._max_batch = settings.max_batch
        self._batcher: DynamicBatcher[Arrays, Arrays] = DynamicBatcher(
            self._run,
            settings.policy,
            clock=clock,
            max_waiting=settings.max_waiting,
            workers=settings.instances,
            rows_of=_rows,
            kind_of=self._kind,
            observe=observe,
        )

    @property
    def waiting(self) -> int:
        """Requests that wait for their batch."""
        return self._batcher.waiting + (self.embedder.waiting if self.embedder else 0)

    @property
    def progress_age(self) -> float:
        """Seconds since a batch was done while there is work; 0 while there is none."""
        embedder = self.embedder.progress_age if self.embedder else 0.0
        return max(self._batcher.progress_age, embedder)

    def start(self) -> None:
        """Start taking requests."""
        self._batcher.start()
        if self.embedder:
            self.embedder.start()

    async def stop(self) -> None:
        """Finish what is being computed, refuse what waits. Twice is fine."""
        await self._batcher.stop()
        if self.embedder:
            await self.embedder.stop()

    async def infer(self, arrays: Arrays) -> Arrays:
        """Return every output; `arrays` fit the inputs and share their number of rows."""
        rows = _rows(arrays)
        if rows > self._max_batch:
            raise ApiError(
                400,
                f"The request has {rows} rows, but {self.name!r} takes {self._max_batch} at once.",
                param="inputs",
            )
        return await self._batcher.submit(arrays)

    def _run(self, requests: list[Arrays]) -> list[Arrays]:
        joined = {
            one.name: np.concatenate([request[one.name] for request in requests])
            for one in self.inputs
        }
        outputs = self._graph.run(joined)
        ends = np.cumsum([_rows(request) for request in requests])[:-1]
        parts = {name: np.split(array, ends) for name, array in outputs.items()}
        return [{name: part[n] for name, part in parts.items()} for n in range(len(requests))]

    def _kind(self, arrays: Arrays) -> Hashable:
        """Return what requests must share to be concatenated: all lengths but the rows."""
        return tuple(arrays[one.name].shape[1:] for one in self.inputs)


def load_tensor_model(
    folder: Path,
    name: str,
    settings: TensorSettings,
    *,
    clock: Clock,
    version: int = 1,
    threads: int = 1,
    embeds: bool = False,
    observe: Callable[[BatchReport], None] = ignore,
) -> TensorModel:
    """Load `model.onnx`; one that embeds has a tokenizer beside it. ModelError says what fails."""
    graph = OnnxGraphModel(folder / ONNX_FILE, settings=RuntimeSettings(threads=threads))
    embedder = None
    if embeds:
        embedder = load_text_embedder(
            folder,
            graph,
            settings.policy,
            workers=settings.instances,
            clock=clock,
            observe=observe,
        )
    return TensorModel(
        name, graph, settings, clock=clock, version=version, embedder=embedder, observe=observe
    )


def _rows(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))
