"""Memory: what outlives a restart of how forecasts fared, as a small JSON file."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from forecaster.live.tracking import Block, Tracking
from forecaster.live.trust import Trust

_VERSION = 1


class MemoryFileError(Exception):
    """The file cannot be used or written: says which, and why."""


def save(path: Path, tracking: Tracking, trust: Trust) -> None:
    """Write the file whole or not at all; raise MemoryFileError where that fails."""
    text = json.dumps(
        {
            **_key(tracking),
            "doubted": trust.doubted,
            "since": trust.since if math.isfinite(trust.since) else None,
            "tracks": {
                str(track.steps): [[one.start, one.counts, one.loss] for one in track.blocks]
                for track in tracking.tracks
            },
        }
    )
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text)
        beside.replace(path)
    except OSError as error:
        raise MemoryFileError(f"cannot write {path}: {error.strerror or error}") from error


def load(path: Path, fresh: Tracking) -> tuple[Tracking, Trust]:
    """Return what the file remembers, on the grid of `fresh`; nothing where it is on another.

    Raise MemoryFileError where it cannot be read.
    """
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        return fresh, Trust()
    except (OSError, ValueError) as error:
        raise MemoryFileError(f"cannot read {path}: {error}; it is begun anew") from error
    try:
        if {name: raw[name] for name in _key(fresh)} != _key(fresh):
            return fresh, Trust()
        tracks = tuple(
            replace(track, blocks=_blocks(raw["tracks"].get(str(track.steps), ()), fresh))
            for track in fresh.tracks
        )
        since = -math.inf if raw["since"] is None else float(raw["since"])
        return replace(fresh, tracks=tracks), Trust(bool(raw["doubted"]), since)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MemoryFileError(
            f"{path} is not what was written here ({error!r}); it is begun anew"
        ) from error


def _key(tracking: Tracking) -> dict[str, Any]:
    """Return what must be the same for the counts to mean the same."""
    return {
        "version": _VERSION,
        "step": tracking.step,
        "block_seconds": tracking.block_seconds,
        "quantiles": list(tracking.quantiles),
    }


def _blocks(rows: list[Any], fresh: Tracking) -> tuple[Block, ...]:
    blocks = [Block(float(at), tuple(map(int, counts)), float(loss)) for at, counts, loss in rows]
    if any(len(one.counts) != len(fresh.quantiles) + 1 or one.total < 1 for one in blocks):
        raise ValueError("expected one count for each quantile and one above them")
    return tuple(blocks)
