"""The models that one replica serves, under the names that clients ask for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from inference.engine.engine import Engine
from inference.engine.grammar import Grammars
from inference.errors import ApiError
from inference.models.generation import GenerationDefaults
from inference.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from inference.replica.images import ImageStage
    from inference.replica.tensor_model import TensorModel

_RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Served:
    """A model that generates, ready to take requests."""

    name: str
    engines: tuple[Engine, ...]  # instances, all alike
    tokenizer: Tokenizer
    vocabulary: int
    stop_tokens: frozenset[int]
    defaults: GenerationDefaults
    grammars: Grammars
    image_token: int | None = None  # stands in a prompt where an image goes
    images: "ImageStage | None" = None

    @property
    def engine(self) -> Engine:
        """The least busy instance that has not failed, or the first where all have."""
        stats = {engine: engine.stats() for engine in self.engines}
        alive = [engine for engine, one in stats.items() if one.failure is None]
        return min(
            alive or self.engines[:1],
            key=lambda engine: stats[engine].running + stats[engine].waiting,
        )


class Found(Protocol):
    """What a name leads to: a model that generates, or one that answers in one step."""

    @property
    def name(self) -> str:
        """The model's own name."""
        ...

    @property
    def served(self) -> Served | None:
        """The model, where it generates."""
        ...

    @property
    def tensor(self) -> "TensorModel | None":
        """The model, where it answers in one step and is awake."""
        ...


class ServedModels:
    """Looks up models by name; each has one of its own and may have others beside it."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self.changed = changed  # called when a name begins or ceases to lead to a model
        self._models: dict[str, Found] = {}
        self._aliases: dict[str, str] = {}
        self._absent: dict[str, str] = {}

    def names(self) -> list[str]:
        """Return the models' own names, in the order of loading."""
        return list(self._models)

    def all_names(self) -> list[str]:
        """Return every name that leads to a model, the other names after the models' own."""
        return [*self._models, *(alias for alias in self._aliases if alias not in self._models)]

    def aliases(self) -> Mapping[str, str]:
        """Return the models' other names, each with the own one."""
        return dict(self._aliases)

    def put(self, model: Found, *, alias: str | None = None) -> None:
        """Let a model be found, in place of the one that had its name."""
        self._models[model.name] = model
        self._absent.pop(model.name, None)
        self._forget_aliases(model.name)
        if alias is not None:
            self._aliases[alias] = model.name
            self._absent.pop(alias, None)
        self.changed()

    def remove(self, model: Found) -> None:
        """Let a model be found no more, unless another has its name by now."""
        if self._models.get(model.name) is model:
            del self._models[model.name]
            self._forget_aliases(model.name)
            self.changed()

    def miss(self, name: str, reason: str | None) -> None:
        """State why a known model cannot be found; without a reason it is as if unknown."""
        if reason is None:
            self._absent.pop(name, None)
        else:
            self._absent[name] = reason

    def find(self, name: str) -> Served:
        """Return a model that generates; ApiError 404 without one, 503 while it is not ready."""
        served = self._find(name).served
        if served is not None:
            return served
        raise ApiError(
            400, f"The model {name!r} does not generate text; see /v2/models.", param="model"
        )

    def find_tensor(self, name: str) -> "TensorModel":
        """Return a model that answers in one step; ApiError as with `find`."""
        model = self._find(name)
        if model.served is not None:
            raise ApiError(
                400,
                f"The model {name!r} generates text; ask it at /v1/chat/completions.",
                param="model",
            )
        if model.tensor is None:
            raise _not_ready(name, "it is asleep")
        return model.tensor

    def _forget_aliases(self, own: str) -> None:
        self._aliases = {alias: name for alias, name in self._aliases.items() if name != own}

    def _find(self, name: str) -> Found:
        model = self._models.get(name) or self._models.get(self._aliases.get(name, ""))
        if model is not None:
            return model
        if name in self._absent:
            raise _not_ready(name, self._absent[name])
        raise _unknown(name, self._models)


def _not_ready(name: str, reason: str) -> ApiError:
    return ApiError(
        503,
        f"The model {name!r} is not ready: {reason}.",
        kind="server_error",
        param="model",
        code="model_not_ready",
        retry_after=_RETRY_SECONDS,
    )


def _unknown(name: str, known: Mapping[str, object]) -> ApiError:
    served = ", ".join(repr(one) for one in known) or "no model"
    return ApiError(
        404,
        f"The model {name[:100]!r} does not exist; this replica serves {served}.",
        param="model",
        code="model_not_found",
    )
