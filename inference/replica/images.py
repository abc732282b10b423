"""The image stage: data URLs in, embeddings out, each picture encoded once.

Pictures are told apart by a hash of their bytes: those seen lately are kept, those that are
being encoded are waited for, the rest go through the vision tower together.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.engine.admission import Dynamic
from inference.engine.batching import BatchReport, DynamicBatcher
from inference.engine.errors import EngineStoppedError
from inference.errors import ApiError
from inference.models.images import (
    ImageError,
    ImageFile,
    ImageLimits,
    image_digest,
    image_pixels,
    read_data_url,
)
from inference.models.preprocessing import PREPROCESSOR_FILE, Preprocessing, load_preprocessing
from inference.models.spec import ModelError
from inference.models.vision import VisionSpec, load_vision_spec, load_vision_weights
from inference.models.vision_graph import EMBEDDINGS, PIXELS, build_encoder
from inference.runtimes.onnx_graph import OnnxGraphModel
from inference.runtimes.runtime import RuntimeSettings
from telemetry.clock import Clock

Floats = NDArray[np.float32]
Encoder = Callable[[Floats], Floats]  # [N, channels, height, width] -> [N, tokens, hidden]

_T = TypeVar("_T")

CACHE_BYTES = 64 * 1024**2
_DECODERS = 2  # pictures decoded at once: each may take tens of megabytes


@dataclass(frozen=True, slots=True)
class EmbeddedImage:
    """A picture as the decoder takes it; the digest names it where prefixes are shared."""

    digest: bytes
    embeddings: Floats  # [tokens, hidden], read-only


@dataclass(frozen=True, slots=True)
class ImageStats:
    """What the stage has done since the start, and what it keeps now."""

    hits: int = 0  # pictures that were kept, or were on their way already
    misses: int = 0
    failures: int = 0  # of the misses
    batches: int = 0
    decode_seconds: float = 0.0
    encode_seconds: float = 0.0  # of whole batches
    cached_bytes: int = 0


class ImageStage:
    """Embeds the pictures of requests. All methods belong to one event loop."""

    def __init__(
        self,
        encoder: Encoder,
        preprocessing: Preprocessing,
        *,
        clock: Clock,
        max_batch: int = 8,
        max_queue_delay: float = 0.0,
        cache_bytes: int = CACHE_BYTES,
        limits: ImageLimits | None = None,
    ) -> None:
        self.stats = ImageStats()
        self._encoder = encoder
        self._preprocessing = preprocessing
        self._clock = clock
        self._limits = limits or ImageLimits()
        self._cache_bytes = cache_bytes
        self._kept: OrderedDict[bytes, EmbeddedImage] = OrderedDict()
        self._coming: dict[bytes, asyncio.Task[EmbeddedImage]] = {}
        self._is_over = False
        self._threads = ThreadPoolExecutor(_DECODERS, thread_name_prefix="image")
        self._batcher: DynamicBatcher[Floats, Floats] = DynamicBatcher(
            self._encoded,
            Dynamic(max_batch, max_queue_delay),
            clock=clock,
            observe=self._note,
        )

    @property
    def progress_age(self) -> float:
        """Seconds since a batch was done while there is work; 0 while there is none."""
        return self._batcher.progress_age

    def start(self) -> None:
        """Start taking pictures."""
        self._batcher.start()

    async def stop(self) -> None:
        """Refuse what waits, finish what is being encoded. Twice is fine."""
        self._is_over = True
        await self._batcher.stop()
        await asyncio.gather(*self._coming.values(), return_exceptions=True)
        self._threads.shutdown(wait=False)

    async def embed(self, urls: Sequence[str]) -> list[EmbeddedImage]:
        """Return the embeddings of data URLs, in order; ApiError 400 says which is no picture.

        Raises EngineBusyError or EngineStoppedError where the stage cannot take them.
        """
        if len(urls) > self._limits.images:
            most = self._limits.images
            raise _refusal(f"{len(urls)} images are too many; this model reads {most} at once")
        return await asyncio.gather(*map(self._embed, urls, range(1, len(urls) + 1)))

    async def _embed(self, url: str, number: int) -> EmbeddedImage:
        try:
            digest, file = await self._in_thread(self._opened, url)
            # Shielded: who goes away must not take the picture from others that wait for it.
            return await asyncio.shield(self._found(digest, file))
        except ImageError as error:
            raise _refusal(f"image {number}: {error}") from error

    def _found(self, digest: bytes, file: ImageFile) -> asyncio.Future[EmbeddedImage]:
        """Return where a picture's embeddings are, or will be."""
        if digest in self._kept:
            self._count(hits=1)
            self._kept.move_to_end(digest)
            done: asyncio.Future[EmbeddedImage] = asyncio.get_running_loop().create_future()
            done.set_result(self._kept[digest])
            return done
        if digest in self._coming:
            self._count(hits=1)
            return self._coming[digest]
        self._count(misses=1)
        task = asyncio.create_task(self._encode(digest, file))
        self._coming[digest] = task
        task.add_done_callback(lambda task: self._arrived(digest, task))
        return task

    async def _encode(self, digest: bytes, file: ImageFile) -> EmbeddedImage:
        began = self._clock.monotonic()
        pixels = await self._in_thread(image_pixels, file, self._preprocessing, self._limits)
        self._count(decode_seconds=self._clock.monotonic() - began)
        return EmbeddedImage(digest, await self._batcher.submit(pixels))

    def _arrived(self, digest: bytes, task: asyncio.Task[EmbeddedImage]) -> None:
        """Keep a picture that is done, in the place of those longest unused."""
        del self._coming[digest]
        if task.cancelled() or task.exception() is not None:
            self._count(failures=1)
            return
        self._kept[digest] = task.result()
        self._count(cached_bytes=task.result().embeddings.nbytes)
        while self.stats.cached_bytes > self._cache_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._count(cached_bytes=-oldest.embeddings.nbytes)

    async def _in_thread(self, work: Callable[..., _T], *arguments: object) -> _T:
        if self._is_over:
            raise EngineStoppedError("the model was unloaded")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(work, *arguments))

    def _opened(self, url: str) -> tuple[bytes, ImageFile]:
        file = read_data_url(url, self._limits)
        return image_digest(file, self._preprocessing), file

    def _encoded(self, pictures: list[Floats]) -> list[Floats]:
        """Encode a batch; each result is a copy, so that one kept does not keep all."""
        embeddings = [array.copy() for array in self._encoder(np.stack(pictures))]
        for array in embeddings:
            array.flags.writeable = False
        return embeddings

    def _note(self, report: BatchReport) -> None:
        self._count(batches=1, encode_seconds=report.run_seconds)

    def _count(self, **more: float) -> None:
        sums = {name: getattr(self.stats, name) + value for name, value in more.items()}
        self.stats = replace(self.stats, **sums)


def load_image_stage(
    folder: Path,
    *,
    clock: Clock,
    threads: int = 1,
    max_batch: int = 8,
    max_queue_delay: float = 0.0,
    cache_bytes: int = CACHE_BYTES,
    limits: ImageLimits | None = None,
) -> ImageStage | None:
    """Load what the model in a folder sees with; None where it only reads."""
    spec = load_vision_spec(folder)
    if spec is None:
        return None
    preprocessing = load_preprocessing(folder)
    _check(folder, spec, preprocessing)
    model = build_encoder(spec, load_vision_weights(folder, spec))
    graph = OnnxGraphModel(model.SerializeToString(), settings=RuntimeSettings(threads=threads))
    return ImageStage(
        lambda pixels: graph.run({PIXELS: pixels})[EMBEDDINGS],
        preprocessing,
        clock=clock,
        max_batch=max_batch,
        max_queue_delay=max_queue_delay,
        cache_bytes=cache_bytes,
        limits=limits,
    )


def _check(folder: Path, spec: VisionSpec, preprocessing: Preprocessing) -> None:
    prepared = (preprocessing.channels, preprocessing.height, preprocessing.width)
    expected = (spec.channels, spec.image_size, spec.image_size)
    if prepared != expected:
        raise ModelError(
            f"{folder / PREPROCESSOR_FILE}: makes pictures of {prepared} (channels, height, "
            f"width), but the vision tower takes {expected}"
        )


def _refusal(message: str) -> ApiError:
    return ApiError(400, f"{message[0].upper()}{message[1:]}.", param="messages")
