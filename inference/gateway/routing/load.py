"""The load of a replica: what its page tells about each model that it has in memory."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_UNREADABLE = (
    AttributeError,
    KeyError,
    OverflowError,  # int(inf)
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Iteration:
    """Seconds of one iteration: a fixed part, and more for each token of either kind."""

    fixed: float
    decode_token: float
    prefill_token: float


@dataclass(frozen=True, slots=True)
class ModelLoad:
    """What one replica does for one model at a moment."""

    running: int  # sequences in the batch
    waiting: int  # sequences that are not yet
    waiting_tokens: int  # of prompts, still to be computed
    slots: int
    kv_usage: float = 0.0  # share of the KV blocks in use
    iteration: Iteration | None = None
    context: int | None = None  # most tokens of one sequence
    modalities: frozenset[str] = frozenset()  # empty where the page names none


@dataclass(frozen=True, slots=True)
class LoadPage:
    """What a replica's page tells."""

    models: Mapping[str, ModelLoad]
    progress_age: float = 0.0  # since its engine advanced, while it has work


def parse_load(text: bytes | str) -> LoadPage:
    """Read a page of GET /load; ValueError where it is none of ours."""
    try:
        page = json.loads(text)
        models = {str(name): _model(fields) for name, fields in page["models"].items()}
        return LoadPage(models, _amount(page.get("progress_age") or 0.0))
    except _UNREADABLE as error:
        raise ValueError(f"expected a replica's load, got {text[:200]!r}") from error


def _model(fields: Mapping[str, Any]) -> ModelLoad:
    context = fields.get("context")
    return ModelLoad(
        running=_count(fields["running"]),
        waiting=_count(fields["waiting"]),
        waiting_tokens=_count(fields["waiting_tokens"]),
        slots=_count(fields["slots"]),
        kv_usage=min(_amount(fields.get("kv_usage") or 0.0), 1.0),
        iteration=_iteration(fields.get("iteration")),
        context=None if context is None else _count(context),
        modalities=frozenset(map(str, fields.get("modalities") or ())),
    )


def _iteration(fields: Mapping[str, Any] | None) -> Iteration | None:
    if fields is None:
        return None
    return Iteration(
        _amount(fields["fixed"]), _amount(fields["decode_token"]), _amount(fields["prefill_token"])
    )


def _count(value: Any) -> int:
    count = int(value)
    if count < 0:
        raise ValueError(f"expected a count, got {value!r}")
    return count


def _amount(value: Any) -> float:
    amount = float(value)
    if not (math.isfinite(amount) and amount >= 0):
        raise ValueError(f"expected an amount, got {value!r}")
    return amount
