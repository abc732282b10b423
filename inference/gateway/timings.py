"""Timings: what the gateway tells a client of where its time went."""

import json

from inference.gateway.timeline import Timeline

_DIGITS = 6  # microseconds


def timings_json(timeline: Timeline) -> str:
    """Return the stages that are known so far and the TTFT, in seconds, as one line of JSON."""
    told = {stage.value: round(seconds, _DIGITS) for stage, seconds in timeline.stages().items()}
    ttft = timeline.time_to_first_token
    return json.dumps(told if ttft is None else {"ttft": round(ttft, _DIGITS), **told})
