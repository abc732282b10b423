"""How a model samples where a request does not say: its generation_config.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.models.spec import ModelError, read_json


@dataclass(frozen=True, slots=True)
class GenerationDefaults:
    """Sampling where neither request nor model folder says otherwise: OpenAI's."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0  # 0 means all tokens
    min_p: float = 0.0
    repetition_penalty: float = 1.0


def load_generation_defaults(folder: Path) -> GenerationDefaults:
    """Read the defaults of a Hugging Face folder; `"do_sample": false` means temperature 0."""
    path = folder / "generation_config.json"
    if not path.exists():
        return GenerationDefaults()
    config = read_json(path)
    try:
        return _defaults(config)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error


def _defaults(config: dict[str, Any]) -> GenerationDefaults:
    defaults = GenerationDefaults(
        temperature=0.0 if config.get("do_sample") is False else _number(config, "temperature", 1),
        top_p=_number(config, "top_p", 1),
        top_k=int(_number(config, "top_k", 0)),
        min_p=_number(config, "min_p", 0),
        repetition_penalty=_number(config, "repetition_penalty", 1),
    )
    if defaults.temperature < 0 or not 0 < defaults.top_p <= 1 or defaults.top_k < 0:
        raise ValueError(
            f"expected temperature and top_k of 0 or more and top_p of 0 to 1, got {defaults}"
        )
    if not 0 <= defaults.min_p <= 1 or not defaults.repetition_penalty > 0:
        raise ValueError(
            f"expected min_p of 0 to 1 and a repetition_penalty above 0, got {defaults}"
        )
    return defaults


def _number(config: dict[str, Any], name: str, default: float) -> float:
    value = config.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, got {value!r}")  # noqa: TRY004 - of a file
    return float(value)
