"""Texts to vectors: a tokenizer and an ONNX graph, texts of many requests computed together."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as HuggingFaceTokenizer

from inference.engine.admission import Dynamic
from inference.engine.batching import BatchReport, DynamicBatcher, ignore
from inference.errors import ApiError
from inference.models.spec import ModelError, read_json
from inference.runtimes.onnx_graph import OnnxGraphModel
from telemetry.clock import Clock

Vector = NDArray[np.float32]

_IDS, _MASK = "input_ids", "attention_mask"
_SEGMENTS = "token_type_ids"  # one text alone is segment 0 throughout
_POOLED = ("sentence_embedding", "sentence_embeddings")
_LONGEST_UNSTATED = 2**15  # tokens, where no file says how long a text may be
_STATES = ("last_hidden_state", "token_embeddings")


class Pooling(StrEnum):
    """How the states of a text's tokens become one vector."""

    NONE = "none"  # the graph does it itself
    MEAN = "mean"
    CLS = "cls"  # the first token's


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vector of one text, of length 1, and how many tokens the text had."""

    vector: Vector
    tokens: int


@dataclass(frozen=True, slots=True)
class TextRules:
    """What a model asks of its texts."""

    output: str  # of the graph
    pooling: Pooling
    longest: int = _LONGEST_UNSTATED  # tokens
    pad_token: int = 0


class TextEmbedder:
    """Embeds texts with one model."""

    def __init__(
        self,
        graph: OnnxGraphModel,
        vocabulary: HuggingFaceTokenizer,
        rules: TextRules,
        policy: Dynamic,
        *,
        clock: Clock,
        workers: int = 1,
        observe: Callable[[BatchReport], None] = ignore,
    ) -> None:
        self._graph = graph
        self._vocabulary = vocabulary
        self._size = vocabulary.get_vocab_size(with_added_tokens=True)
        self._rules = rules
        words = map(vocabulary.id_to_token, range(self._size))
        self._most_characters = rules.longest * max(len(word or "") for word in words)
        self._most_at_once = 2 * policy.size  # of one request: others get their turn
        self._batcher: DynamicBatcher[Sequence[int], Vector] = DynamicBatcher(
            self._run, policy, clock=clock, workers=workers, observe=observe
        )

    @property
    def waiting(self) -> int:
        """Texts that wait for their batch."""
        return self._batcher.waiting

    @property
    def progress_age(self) -> float:
        """Seconds since a batch was done while there is work; 0 while there is none."""
        return self._batcher.progress_age

    def start(self) -> None:
        """Start taking texts."""
        self._batcher.start()

    async def stop(self) -> None:
        """Finish what is being computed, refuse what waits."""
        await self._batcher.stop()

    async def embed(self, texts: Sequence[str | Sequence[int]]) -> list[Embedded]:
        """Embed texts, or what is tokens already; ApiError 400 names the one that cannot be."""
        rows = await asyncio.to_thread(self._tokens, texts)
        turn = asyncio.Semaphore(self._most_at_once)

        async def one(tokens: Sequence[int]) -> Embedded:
            async with turn:
                return Embedded(await self._batcher.submit(tokens), len(tokens))

        return await asyncio.gather(*map(one, rows))

    def _tokens(self, texts: Sequence[str | Sequence[int]]) -> list[Sequence[int]]:
        rows: list[Sequence[int]] = []
        for number, text in enumerate(texts, start=1):
            rows.append(self._encoded(number, text) if isinstance(text, str) else text)
            self._check(number, rows[-1])
        return rows

    def _encoded(self, number: int, text: str) -> list[int]:
        """Return the tokens of a text, unless it is too long for it to be worth while."""
        if len(text) > self._most_characters:
            raise ApiError(
                400,
                f"Input {number} has {len(text)} characters, but the {self._rules.longest} tokens "
                f"that this model reads are {self._most_characters} at most.",
                param="input",
                code="context_length_exceeded",
            )
        # Unlike encode, it lets other threads run meanwhile.
        return list(self._vocabulary.encode_batch_fast([text])[0].ids)

    def _check(self, number: int, tokens: Sequence[int]) -> None:
        if not tokens:
            raise ApiError(400, f"Input {number} is empty.", param="input")
        if not 0 <= min(tokens) <= max(tokens) < self._size:
            message = f"Input {number} holds tokens beyond this model's {self._size}."
            raise ApiError(400, message, param="input")
        longest = self._rules.longest
        if len(tokens) > longest:
            raise ApiError(
                400,
                f"Input {number} has {len(tokens)} tokens, but this model reads {longest}.",
                param="input",
                code="context_length_exceeded",
            )

    def _run(self, rows: list[Sequence[int]]) -> list[Vector]:
        """Embed a batch; shorter texts are padded to the longest, and the padding is masked."""
        width = max(map(len, rows))
        ids = np.full((len(rows), width), self._rules.pad_token, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feed = {_IDS: ids, _MASK: mask, _SEGMENTS: np.zeros_like(ids)}
        outputs = self._graph.run(
            {one.name: feed[one.name].astype(one.dtype) for one in self._graph.inputs}
        )
        states = outputs[self._rules.output].astype(np.float32)
        return [*_unit(_pooled(states, mask, self._rules.pooling))]


def load_text_embedder(
    folder: Path,
    graph: OnnxGraphModel,
    policy: Dynamic,
    *,
    clock: Clock,
    workers: int = 1,
    observe: Callable[[BatchReport], None] = ignore,
) -> TextEmbedder:
    """Read how the model beside `graph` takes its texts; ModelError says what is wrong."""
    for one in graph.inputs:
        if one.name not in (_IDS, _MASK, _SEGMENTS):
            raise ModelError(
                f"{folder}: the graph asks for {one.name}; a text has only {_IDS}, {_MASK} and "
                f"{_SEGMENTS}"
            )
    vocabulary = _load_vocabulary(folder / "tokenizer.json")
    rules = _rules(folder, graph, vocabulary)
    vocabulary.no_padding()
    vocabulary.no_truncation()  # a text that is too long is refused, not cut
    return TextEmbedder(
        graph, vocabulary, rules, policy, clock=clock, workers=workers, observe=observe
    )


def _load_vocabulary(path: Path) -> HuggingFaceTokenizer:
    if not path.exists():
        raise ModelError(f"{path}: no such file; the tokenizer is missing")
    try:
        return HuggingFaceTokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(f"{path}: cannot be read as a tokenizer ({error})") from error


def _rules(folder: Path, graph: OnnxGraphModel, vocabulary: HuggingFaceTokenizer) -> TextRules:
    names = [one.name for one in graph.outputs]
    pooled = next((name for name in _POOLED if name in names), None)
    states = next((name for name in _STATES if name in names), None)
    output = pooled or states
    if output is None:
        raise ModelError(
            f"{folder}: the graph has outputs {', '.join(names)}; expected {_POOLED[0]} or "
            f"{_STATES[0]}"
        )
    padding: Mapping[str, Any] = vocabulary.padding or {}
    return TextRules(
        output=output,
        pooling=Pooling.NONE if pooled else _pooling(folder / "1_Pooling" / "config.json"),
        longest=_longest(folder, vocabulary),
        pad_token=int(padding.get("pad_id", 0)),
    )


def _pooling(path: Path) -> Pooling:
    """Read what sentence-transformers says; where it says nothing, the mean."""
    if not path.exists():
        return Pooling.MEAN
    config = read_json(path)
    modes = [key for key, is_on in config.items() if key.startswith("pooling_mode_") and is_on]
    known = {"pooling_mode_mean_tokens": Pooling.MEAN, "pooling_mode_cls_token": Pooling.CLS}
    if len(modes) != 1 or modes[0] not in known:
        raise ModelError(f"{path}: pooling by {modes} is not supported, only one of {[*known]}")
    return known[modes[0]]


def _longest(folder: Path, vocabulary: HuggingFaceTokenizer) -> int:
    """Return the longest text in tokens, from whichever file states it."""
    sentences, config = folder / "sentence_bert_config.json", folder / "config.json"
    stated: list[Any] = []
    if sentences.exists():
        stated.append(read_json(sentences).get("max_seq_length"))
    if vocabulary.truncation:
        stated.append(vocabulary.truncation["max_length"])
    if config.exists():
        stated.append(read_json(config).get("max_position_embeddings"))
    return next((one for one in stated if isinstance(one, int)), _LONGEST_UNSTATED)


def _pooled(states: Vector, mask: NDArray[np.int64], pooling: Pooling) -> Vector:
    if pooling is Pooling.NONE:
        return states
    if pooling is Pooling.CLS:
        return states[:, 0]
    shown = mask[:, :, None].astype(np.float32)
    mean: Vector = (states * shown).sum(axis=1) / shown.sum(axis=1)
    return mean


def _unit(vectors: Vector) -> Vector:
    """Scale vectors to length 1, as OpenAI's are; one of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vector = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled
