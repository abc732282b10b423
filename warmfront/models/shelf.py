"""The repository of models on this machine: what is in it, and how one comes in."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inference.models.repository import (
    NAME_PATTERN,
    Kind,
    ModelConfig,
    Repository,
    kind_of,
    version_numbers,
)
from inference.models.spec import ModelError, load_spec, read_json
from warmfront.errors import WarmfrontError
from warmfront.models import findings
from warmfront.models.sizes import bytes_for_people


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of one model, as far as its small files tell."""

    name: str
    version: int
    kind: str | None
    precision: str | None  # that it is kept in
    size_bytes: int
    problem: str | None  # None: its small files are sound


def show(root: Path, *, as_json: bool, out: Console) -> int:
    """Print every version of every model."""
    entries = list(entries_of(root)) if root.is_dir() else []
    if as_json:
        out.print_json(json.dumps([asdict(one) for one in entries]))
    elif not entries:
        how = "bring one in with `warmfront models import FOLDER`"
        out.print(Text(f"No models in {root}: {how}."), soft_wrap=True)
    else:
        out.print(_table(entries))
        for one in entries:
            if one.problem:
                told = Text(f"{one.name} {one.version}: {one.problem}", style="red")
                out.print(told, soft_wrap=True)
    return 0


def entries_of(root: Path) -> Iterator[Entry]:
    """Read what is in a repository; a broken model is an entry with a problem."""
    for name in Repository(root).names():
        for number in version_numbers(root / name):
            yield _entry(name, number, root / name / str(number))


def bring_in(
    source: Path, root: Path, *, name: str | None, version: int | None, out: Console
) -> int:
    """Verify a model and copy it to <name>/<version>/, whole or not at all."""
    if findings.show(source, out=out):
        return 1
    chosen = name or source.resolve().name
    if not NAME_PATTERN.fullmatch(chosen):
        raise WarmfrontError(
            f"{chosen!r} cannot name a model: expected up to 100 letters, digits, '.', '_' and "
            "'-'; give it another with --name"
        )
    folder = root / chosen
    there = version_numbers(folder) if folder.is_dir() else []
    number = max(there, default=0) + 1 if version is None else version
    if number < 1:
        raise WarmfrontError(f"expected a version of 1 or more, got {number}")
    if number in there:
        raise WarmfrontError(f"{folder / str(number)} is there already: give another --version")
    _copy(source, folder / str(number))
    out.print(Text(f"imported as {chosen}, version {number}, into {root}"), soft_wrap=True)
    return 0


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(source, partial, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        partial.rename(target)
    except shutil.Error as error:
        raise WarmfrontError(f"{source}: cannot be copied: {error.args[0][0][2]}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _entry(name: str, number: int, folder: Path) -> Entry:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    try:
        kind = kind_of(folder, ModelConfig())
        precision = _precision(folder) if kind is Kind.GENERATE else None
    except ModelError as error:
        return Entry(name, number, None, None, size, str(error))
    return Entry(name, number, kind, precision, size, None)


def _precision(folder: Path) -> str:
    """Return what a checkpoint is kept in, as its config says."""
    stored = load_spec(folder).stored_precision
    config = read_json(folder / "config.json")
    text = config.get("text_config") or {}
    stated = (one.get(key) for one in (config, text) for key in ("dtype", "torch_dtype"))
    return stored or next((str(one) for one in stated if one), "-")


def _table(entries: list[Entry]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("model", "version", "kind", "kept in", "size", "files"):
        table.add_column(heading, justify="right" if heading in ("version", "size") else "left")
    for one in entries:
        state = Text("broken", style="red") if one.problem else Text("ok")
        table.add_row(
            Text(one.name),
            str(one.version),
            one.kind or "-",
            Text(one.precision or "-"),
            bytes_for_people(one.size_bytes),
            state,
        )
    return table
