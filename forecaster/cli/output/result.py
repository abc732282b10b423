"""What a command found out, in each shape that it can be asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import RenderableType

Cell = str | int | float | None  # None: not known


@dataclass(frozen=True, slots=True)
class Records:
    """A table for machines: columns by their names, all of one length."""

    columns: Mapping[str, Sequence[Cell]]

    def __post_init__(self) -> None:
        lengths = {name: len(cells) for name, cells in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"expected columns of one length, got {lengths}")

    @property
    def rows(self) -> list[tuple[Cell, ...]]:
        """The cells row by row."""
        return list(zip(*self.columns.values(), strict=True))


@dataclass(frozen=True, slots=True)
class Result:
    """What is shown to people, and the same for machines."""

    shown: Sequence[RenderableType]
    document: Mapping[str, object]  # for JSON: no NaN, only what JSON knows
    records: Records = field(default_factory=lambda: Records({}))
    files: Mapping[Path, bytes] = field(default_factory=dict)  # to be written besides
