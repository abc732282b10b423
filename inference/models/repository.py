"""A folder of models after Triton's pattern: `<name>/<version>/` and an optional config.toml."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.models.precision import Lowering, Precision
from inference.models.spec import ModelError, read_json

CONFIG_FILE = "config.toml"
ONNX_FILE = "model.onnx"
CHECKPOINT_FILE = "config.json"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,9}")


_Enum = TypeVar("_Enum", bound=StrEnum)
_Word = Annotated[_Enum, Field(strict=False)]  # strict ones are no words, and TOML has no enums


class NoSuchModelError(ModelError):
    """The repository has no model of that name."""


class Kind(StrEnum):
    """What a model answers with."""

    GENERATE = "generate"  # tokens, one after another
    EMBED = "embed"  # one vector per text
    CLASSIFY = "classify"  # tensors for tensors, in one step


class Versions(StrEnum):
    """Which versions of a model are loaded, where no list says it."""

    LATEST = "latest"
    ALL = "all"


class ModelConfig(BaseModel):
    """One model's config.toml; what it leaves out is as the replica was started."""

    # Strict: "5" is no number. Unknown fields are refused: they would be typing errors.
    # Built when first read: most replicas start without a repository.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)

    kind: _Word[Kind] | None = None  # None: by the files
    versions: _Word[Versions] | list[int] = Versions.LATEST
    preload: bool = True  # where the command line names no models
    runtime: str | None = Field(default=None, min_length=1)
    lowering: _Word[Lowering] | None = None
    precision: _Word[Precision] | None = None
    instances: int | None = Field(default=None, ge=1, le=64)
    slots: int | None = Field(default=None, ge=1)
    token_budget: int | None = Field(default=None, ge=2)
    kv_memory_mib: int | None = Field(default=None, ge=1)  # of each instance
    max_batch: int | None = Field(default=None, ge=1)  # of models that answer in one step
    max_queue_delay_ms: float | None = Field(default=None, ge=0, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of one model on disk."""

    model: str
    version: int
    folder: Path
    kind: Kind
    config: ModelConfig
    name: str  # that clients ask for
    is_newest: bool = True  # of those to be loaded: `model` alone means it


class Source(Protocol):
    """Where models come from."""

    def names(self) -> list[str]:
        """Return the name of every model, whether or not it can be loaded."""
        ...

    def versions(self, name: str) -> list[ModelVersion]:
        """Return the versions of a model that are to be loaded, oldest first; or ModelError."""
        ...

    def preloads(self, name: str) -> bool:
        """Tell whether a model asks to be loaded at the start; a broken one does."""
        ...


class OneModel:
    """A single model under a given name: a folder in Hugging Face's format, or one graph."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name

    def names(self) -> list[str]:
        """Return the one name."""
        return [self._name]

    def versions(self, name: str) -> list[ModelVersion]:
        """Return the one version."""
        if name != self._name:
            raise NoSuchModelError(f"{self._folder}: is the model {self._name!r}, not {name!r}")
        config = ModelConfig.model_construct()
        kind = kind_of(self._folder, config)
        return [ModelVersion(name, 1, self._folder, kind, config, name=name)]

    def preloads(self, name: str) -> bool:
        """Always load it: without, there is nothing to do."""
        return name == self._name


class Repository:
    """The models in one folder, read anew at every question."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise ModelError(f"{root}: no such folder; expected a repository of models")
        self._root = root.resolve()

    def names(self) -> list[str]:
        """Return the name of every model, whether or not it can be loaded."""
        entries = [entry for entry in self._root.iterdir() if not entry.name.startswith(".")]
        return sorted(entry.name for entry in entries if entry.is_dir())

    def versions(self, name: str) -> list[ModelVersion]:
        """Return the versions of a model that are to be loaded, oldest first."""
        folder = self._folder(name)
        config = read_config(folder / CONFIG_FILE)
        wanted = _wanted(folder, config, version_numbers(folder))
        many = config.versions != Versions.LATEST
        return [
            ModelVersion(
                name,
                number,
                folder / str(number),
                kind_of(folder / str(number), config),
                config,
                name=f"{name}:{number}" if many else name,
                is_newest=number == wanted[-1],
            )
            for number in wanted
        ]

    def preloads(self, name: str) -> bool:
        """Tell whether a model asks to be loaded at the start; a broken one does."""
        try:
            return read_config(self._folder(name) / CONFIG_FILE).preload
        except ModelError:
            return True  # so that loading says what is wrong with it

    def _folder(self, name: str) -> Path:
        """Return the folder of a model; nothing in it may lead out of the repository."""
        if name not in self.names():
            raise NoSuchModelError(f"{self._root}: holds no model {name[:100]!r}")
        folder = self._root / name
        if not NAME_PATTERN.fullmatch(name):
            raise ModelError(
                f"{folder}: expected a name of up to 100 letters, digits, '.', '_' and '-'"
            )
        for path in (folder, *folder.rglob("*")):
            if not path.resolve().is_relative_to(self._root):
                raise ModelError(f"{path}: is a link that leads out of the repository")
        return folder


def read_config(path: Path) -> ModelConfig:
    """Read a config.toml; without the file, everything is as by default."""
    import tomllib  # noqa: PLC0415 - seldom used

    try:
        return ModelConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return ModelConfig()
    except ValidationError as error:
        raise ModelError(f"{path}: {_problems(error)}") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as TOML ({error})") from error


def kind_of(folder: Path, config: ModelConfig) -> Kind:
    """Return what a model answers with: as configured, or as its files suggest."""
    kind = config.kind or _suggested(folder)
    needed = CHECKPOINT_FILE if kind is Kind.GENERATE else ONNX_FILE
    if not (folder / needed).is_file():
        raise ModelError(f"{folder}: holds no {needed}, which a model to {kind} consists of")
    return kind


def _suggested(folder: Path) -> Kind:
    if not (folder / ONNX_FILE).is_file():
        if not (folder / CHECKPOINT_FILE).is_file():
            raise ModelError(
                f"{folder}: holds no {CHECKPOINT_FILE}, as a Hugging Face folder does, and no "
                f"{ONNX_FILE}"
            )
        return Kind.GENERATE
    return Kind.EMBED if _reads_text(folder) and not _classifies(folder) else Kind.CLASSIFY


def _reads_text(folder: Path) -> bool:
    return (folder / "tokenizer.json").is_file()


def _classifies(folder: Path) -> bool:
    path = folder / CHECKPOINT_FILE
    architectures: Any = read_json(path).get("architectures") if path.is_file() else None
    return any("Classification" in str(one) for one in architectures or ())


def version_numbers(folder: Path) -> list[int]:
    """Return the versions that a model has; other folders beside them are left alone."""
    entries = [entry.name for entry in folder.iterdir() if entry.is_dir()]
    return sorted(int(name) for name in entries if _VERSION.fullmatch(name))


def _wanted(folder: Path, config: ModelConfig, numbers: list[int]) -> list[int]:
    if not numbers:
        raise ModelError(f"{folder}: holds no version; expected folders named 1, 2 and so on")
    match config.versions:
        case Versions.LATEST:
            return numbers[-1:]
        case Versions.ALL:
            return numbers
        case list() as listed:
            return _listed(folder, sorted(set(listed)), numbers)


def _listed(folder: Path, listed: list[int], numbers: list[int]) -> list[int]:
    missing = [number for number in listed if number not in numbers]
    if missing or not listed:
        raise ModelError(
            f"{folder / CONFIG_FILE}: versions: expected some of {numbers}, got {listed}"
        )
    return listed


def _problems(error: ValidationError) -> str:
    """Name every field that is wrong, once each."""
    problems: dict[str, str] = {}
    for one in error.errors(include_url=False, include_context=False):
        problems.setdefault(str(one["loc"][0]) if one["loc"] else "file", one["msg"])
    return "; ".join(f"{field}: {message}" for field, message in problems.items())
