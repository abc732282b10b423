"""Formats that answers must keep to: JSON, schemas, patterns, choices and grammars."""

import json
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inference.engine.errors import FormatError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

    from inference.engine.sampling import Constraint

_KEPT = 64  # compiled formats: a client tends to ask for few, again and again
_ANY_OBJECT = {"type": "object"}
# Between the parts of JSON: room for an indented line, but no endless blank.
_BLANK = r"[\x20\x0A\x0D\x09]{1,40}"


class GrammarError(ValueError):
    """A format is not one, or goes beyond what can be enforced."""


class Grammars:
    """Compiles formats for one tokenizer; each is compiled once. Safe to share by threads.

    A format is given out as a function that begins a new answer in it.
    """

    def __init__(
        self,
        tokenizer_json: Callable[[], str],
        *,
        vocabulary: int,
        stop_tokens: frozenset[int],
    ) -> None:
        self._tokenizer_json = tokenizer_json
        self._vocabulary = vocabulary
        self._stop_tokens = sorted(stop_tokens)
        self._lock = threading.Lock()
        self._tokens: LLTokenizer | None = None
        self._compiled = lru_cache(_KEPT)(self._compile)

    def json_object(self) -> "Callable[[], Constraint]":
        """Return the format of any JSON object."""
        return self.json_schema(_ANY_OBJECT)

    def json_schema(self, schema: dict[str, Any]) -> "Callable[[], Constraint]":
        """Return the format of JSON that a schema describes."""
        from llguidance import LLMatcher  # noqa: PLC0415 - loaded when first asked for

        grammar = LLMatcher.grammar_from_json_schema(
            json.dumps(schema), overrides={"whitespace_pattern": _BLANK}
        )
        return self._compiled(grammar)

    def regex(self, pattern: str) -> "Callable[[], Constraint]":
        """Return the format of texts that match a regular expression from end to end."""
        from llguidance import LLMatcher  # noqa: PLC0415 - loaded when first asked for

        return self._compiled(LLMatcher.grammar_from_regex(pattern))

    def choice(self, texts: Sequence[str]) -> "Callable[[], Constraint]":
        """Return the format of one of several texts."""
        return self.lark("start: " + " | ".join(json.dumps(text) for text in texts))

    def lark(self, grammar: str) -> "Callable[[], Constraint]":
        """Return the format that a context-free grammar in Lark's notation describes."""
        return self._compiled(grammar)

    def prepare(self) -> None:
        """Do what the first call would take up to a second for."""
        self._tokenizer()

    def spell(self, token: int) -> bytes:
        """Return the bytes that a token stands for; none where it is but a place in the table."""
        spelling = self._tokenizer().decode_bytes([token])
        return b"" if spelling == b"<[%d]>" % token else spelling

    def _compile(self, grammar: str) -> "Callable[[], Constraint]":
        from llguidance import LLMatcher  # noqa: PLC0415 - loaded when first asked for

        matcher = LLMatcher(self._tokenizer(), grammar, log_level=0)
        if matcher.is_error():
            raise GrammarError(_reason(matcher))
        first = matcher.deep_copy()
        first.compute_bitmask()  # found now, by the caller, rather than later by the engine
        if first.is_error():
            raise GrammarError(f"no answer can begin in it ({_reason(first)})")
        return lambda: _Followed(matcher.deep_copy())

    def _tokenizer(self) -> "LLTokenizer":
        """Return the tokens as a trie; building it takes up to a second, once."""
        from llguidance import LLTokenizer  # noqa: PLC0415 - loaded when first asked for

        with self._lock:
            if self._tokens is None:
                self._tokens = LLTokenizer(
                    self._tokenizer_json(),
                    n_vocab=self._vocabulary,
                    eos_token=self._stop_tokens or None,
                )
            return self._tokens


class _Followed:
    """One answer's way through its format."""

    def __init__(self, matcher: "LLMatcher") -> None:
        self._matcher = matcher

    def mask(self, logits: NDArray[np.float32]) -> None:
        """Exclude the tokens that must not follow, in place."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        self._check()
        allowed = np.unpackbits(bits, count=len(logits), bitorder="little")
        logits[allowed == 0] = -np.inf

    def accept(self, token: int) -> None:
        """Take in a token of the answer."""
        self._matcher.consume_token(token)
        self._check()

    @property
    def is_complete(self) -> bool:
        """Whether nothing may follow."""
        return self._matcher.is_stopped()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise FormatError(f"the required format cannot be followed: {_reason(self._matcher)}")


def _reason(matcher: "LLMatcher") -> str:
    """Return in one line what the library says is wrong, without the state of its parser."""
    return " ".join(matcher.get_error().partition("\n<state>")[0].split())
