"""Models that need what is not always installed: told before they are asked to fit."""

from collections.abc import Sequence
from importlib.util import find_spec


class ModelError(Exception):
    """A model cannot be used: says what was expected, what was found and what to do."""


def installed(packages: Sequence[str]) -> bool:
    """Tell whether every one of the packages can be imported, without importing any."""
    return all(find_spec(package) is not None for package in packages)


def require(packages: Sequence[str], *, model: str, install: str) -> None:
    """Raise ModelError where a package that a model needs is not installed."""
    missing = [package for package in packages if not installed([package])]
    if missing:
        raise ModelError(
            f"the model {model!r} needs {' and '.join(missing)}, which this installation lacks: "
            f"pip install '{install}', or leave the model out"
        )
