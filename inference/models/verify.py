"""What can be said of a model folder without running it: each finding names its file."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from inference.models.chat_template import ChatTemplateError
from inference.models.checkpoint import Expected, decoder_name, read_decoder, refuse_missing
from inference.models.generation import load_generation_defaults
from inference.models.preprocessing import PREPROCESSOR_FILE, load_preprocessing
from inference.models.rope_scaling import YarnScaling
from inference.models.spec import ModelError, ModelSpec, load_spec
from inference.models.tokenizer import (
    Tokenizer,
    chat_template_file,
    load_tokenizer,
    special_tokens,
)
from inference.models.vision import load_vision_spec, load_vision_weights

_CONVERSATION = ({"role": "user", "content": "How many replicas are warm?"},)

T = TypeVar("T")


class Severity(StrEnum):
    """Whether a model can be served in spite of a finding."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or odd, in a model folder."""

    severity: Severity
    file: str  # its name within the folder
    message: str


def verify(folder: Path) -> list[Finding]:
    """Check configuration, weights, tokenizer and what they say of each other."""
    report = _Report(folder)
    spec = report.attempt(lambda: load_spec(folder))
    tokenizer = report.attempt(lambda: load_tokenizer(folder))
    report.attempt(lambda: load_generation_defaults(folder))
    if spec is not None:
        report.findings += _rotations(spec)
        _weights(report, spec)
        _vision(report)
    if tokenizer is not None:
        report.findings += _chat(folder, tokenizer)
    if spec is not None and tokenizer is not None:
        report.findings += _special_tokens(folder, spec, tokenizer)
    return report.findings


class _Report:
    """Findings as they are made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.findings: list[Finding] = []
        self.is_broken = False  # a file could not be read to its end

    def attempt(self, load: Callable[[], T]) -> T | None:
        """Return what loads, or record why it does not."""
        try:
            return load()
        except ModelError as error:
            self.findings.append(self._finding(str(error)))
            return None

    def until_broken(self, reading: Iterator[T]) -> Iterator[T]:
        """Yield what can be read, and record why not all of it."""
        try:
            yield from reading
        except ModelError as error:
            self.is_broken = True
            self.findings.append(self._finding(str(error)))

    def _finding(self, message: str) -> Finding:
        """Take apart a ModelError, whose message begins with the path."""
        file, _, what = message.removeprefix(f"{self.folder}/").partition(": ")
        return Finding(Severity.ERROR, file, what)


def _weights(report: _Report, spec: ModelSpec) -> None:
    """Read every tensor once, one at a time, and record all that are wrong."""
    expected = Expected(spec)
    found = set()
    for tensor in report.until_broken(read_decoder(report.folder, spec)):
        found.add(decoder_name(tensor.name))
        report.attempt(lambda: expected.checked(tensor))  # noqa: B023 - called at once
    if not report.is_broken:
        report.attempt(lambda: refuse_missing(report.folder, expected.names - found))


def _vision(report: _Report) -> None:
    seen = report.attempt(lambda: load_vision_spec(report.folder))
    if seen is None:
        return
    report.attempt(lambda: load_vision_weights(report.folder, seen))
    pictures = report.attempt(lambda: load_preprocessing(report.folder))
    if pictures is not None and (pictures.width, pictures.height) != (seen.image_size,) * 2:
        report.findings.append(
            Finding(
                Severity.ERROR,
                PREPROCESSOR_FILE,
                f"pictures become {pictures.width} x {pictures.height} pixels, "
                f"the vision tower in config.json sees {seen.image_size} x {seen.image_size}",
            )
        )


def _rotations(spec: ModelSpec) -> Iterator[Finding]:
    scaling = spec.rope_scaling
    if not isinstance(scaling, YarnScaling):
        return
    reach = math.floor(scaling.factor * scaling.original_max_position_embeddings)
    if spec.positions > reach:
        yield _warning(
            "config.json",
            f"max_position_embeddings {spec.positions} is beyond the {reach} positions that "
            "its rotary scaling was made for",
        )


def _chat(folder: Path, tokenizer: Tokenizer) -> Iterator[Finding]:
    try:
        tokenizer.encode_chat(_CONVERSATION)
    except ChatTemplateError as error:
        yield _warning(chat_template_file(folder).name, f"no conversation can be held: {error}")


def _special_tokens(folder: Path, spec: ModelSpec, tokenizer: Tokenizer) -> Iterator[Finding]:
    if tokenizer.size > spec.vocabulary:
        yield Finding(
            Severity.ERROR,
            "tokenizer.json",
            f"the tokenizer has {tokenizer.size} tokens, the model {spec.vocabulary}",
        )
    yield from _stops(folder, spec, tokenizer)
    if spec.image_token is not None and not spec.image_token < spec.vocabulary:
        yield Finding(
            Severity.ERROR,
            "config.json",
            f"image_token_index {spec.image_token} is outside the vocabulary of {spec.vocabulary}",
        )
    elif spec.image_token is not None and tokenizer.text_of(spec.image_token) is None:
        yield Finding(
            Severity.ERROR,
            "tokenizer.json",
            f"no token has the number {spec.image_token}, which stands for images in config.json",
        )


def _stops(folder: Path, spec: ModelSpec, tokenizer: Tokenizer) -> Iterator[Finding]:
    if not spec.stop_tokens:
        yield _warning("config.json", "no eos_token_id: every answer ends at its length limit")
    for token in sorted(spec.stop_tokens):
        if not 0 <= token < spec.vocabulary:
            yield _warning(
                "config.json",
                f"eos_token_id {token} is outside the vocabulary of {spec.vocabulary}",
            )
    marks = special_tokens(folder)
    for name, text in sorted(marks.items()):
        if tokenizer.token_id(text) is None:
            yield _warning("tokenizer_config.json", f"{name} {text!r} is not in tokenizer.json")
    end = tokenizer.token_id(marks.get("eos_token", ""))
    if spec.stop_tokens and end is not None and end not in spec.stop_tokens:
        yield _warning(
            "config.json",
            f"eos_token_id has no {end}, which is the tokenizer's eos_token "
            f"{marks['eos_token']!r}: answers may run past their end",
        )


def _warning(file: str, message: str) -> Finding:
    return Finding(Severity.WARNING, file, message)
