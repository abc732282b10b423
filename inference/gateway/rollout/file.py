"""The file that keeps rollouts over restarts: written whole or not at all."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import TypeAdapter, ValidationError

from inference.gateway.rollout.running import Kept

_log = structlog.get_logger(__name__)
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class _Page:
    format: int
    rollouts: tuple[Kept, ...]

    def __post_init__(self) -> None:
        if self.format != _FORMAT:
            raise ValueError(f"expected format {_FORMAT}, got {self.format}")
        models = [one.plan.model for one in self.rollouts]
        if len(set(models)) < len(models):
            raise ValueError("a model has two rollouts")
        for one in self.rollouts:
            if not 0 <= one.state.step < len(one.plan.weights):
                raise ValueError(f"the plan of {one.plan.model!r} has no step {one.state.step}")


_PAGE = TypeAdapter(_Page)


class RolloutFile:
    """One JSON file; it survives the death of the process at any moment."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[Kept, ...]:
        """Return what was kept; a file that makes no sense is set aside, and that is said."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return ()
        try:
            return _PAGE.validate_json(text).rollouts
        except ValidationError as error:
            aside = self._path.with_name(f"{self._path.name}.broken")
            self._path.replace(aside)
            _log.error(
                "the file of rollouts cannot be understood: none is under way; it is set aside",
                path=str(aside),
                why=str(error.errors(include_url=False)[0]["msg"]),
            )
            return ()

    def write(self, rollouts: Sequence[Kept]) -> None:
        """Replace the file; what was there stays until the new one is safely on disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.tmp")
        with draft.open("wb") as file:
            file.write(_PAGE.dump_json(_Page(_FORMAT, tuple(rollouts)), indent=1))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
