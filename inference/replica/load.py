"""What a replica tells gateways of its load, which they read several times a second."""

import json
from collections.abc import Mapping
from typing import Any

from inference.replica.metrics import ModelGauges
from telemetry.lifecycle import ReplicaState


def load_page(
    replica: str,
    state: ReplicaState,
    models: Mapping[str, ModelGauges],
    *,
    aliases: Mapping[str, str],
    steps: int,
) -> str:
    """Return the page: compact JSON, with every model under each of its names."""
    told = {name: _load(one) for name, one in models.items()}
    others = {alias: told[name] for alias, name in aliases.items() if name in told}
    return json.dumps(
        {
            "id": replica,
            "state": state.value,
            "steps": steps,
            "progress_age": progress_age(models),
            "models": {**others, **told},
        },
        separators=(",", ":"),
    )


def progress_age(models: Mapping[str, ModelGauges]) -> float:
    """Return the longest time that a model has had work without getting on, in seconds."""
    return max((one.progress_age for one in models.values()), default=0.0)


def _load(one: ModelGauges) -> dict[str, Any]:
    cost = one.cost
    return {
        "running": one.running,
        "waiting": one.waiting,
        "waiting_tokens": one.waiting_tokens,
        "slots": one.slots,
        "kv_usage": one.kv_usage,
        "iteration": cost and {
            "fixed": cost.fixed,
            "decode_token": cost.decode_token,
            "prefill_token": cost.prefill_token,
        },
        "context": one.context,
        "modalities": one.modalities,
    }  # fmt: skip
