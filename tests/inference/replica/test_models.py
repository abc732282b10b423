from dataclasses import dataclass
from typing import Any

import pytest

from inference.errors import ApiError
from inference.replica.models import Served, ServedModels


@dataclass(frozen=True, slots=True)
class Stats:
    running: int = 0
    waiting: int = 0
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    number: int
    state: Stats

    def stats(self) -> Stats:
        return self.state


@dataclass(slots=True, eq=False)
class Model:
    """A model under a name; one that does not generate answers in one step."""

    name: str
    served: Any = None
    tensor: Any = None


def generating(name: str) -> Model:
    return Model(name, served(name, Stats()))


def served(name: str, *states: Stats) -> Served:
    engines: Any = tuple(Instance(number, state) for number, state in enumerate(states))
    nothing: Any = None
    return Served(name, engines, nothing, 264, frozenset(), nothing, nothing)


@pytest.mark.parametrize(
    ("states", "chosen"),
    [
        pytest.param([Stats(2), Stats(1)], 1, id="fewest running"),
        pytest.param([Stats(1), Stats(0, 2)], 0, id="those that wait count too"),
        pytest.param([Stats(), Stats()], 0, id="the first of equals"),
        pytest.param([Stats(failure="x"), Stats(9)], 1, id="not one that has failed"),
        pytest.param([Stats(failure="x"), Stats(failure="y")], 0, id="any where all have"),
    ],
)
def test_a_request_goes_to_the_least_busy_instance(states: list[Stats], chosen: int):
    assert served("a", *states).engine.number == chosen


def test_whoever_watches_is_told_when_names_change():
    seen: list[list[str]] = []
    models = ServedModels(lambda: seen.append(models.all_names()))
    first, second = generating("a"), generating("a")
    models.put(first, alias="a:1")
    models.put(second, alias="a:2")
    models.remove(first)
    models.remove(second)

    assert seen == [["a", "a:1"], ["a", "a:2"], []]


def refusal(models: ServedModels, name: str) -> tuple[int, str | None]:
    with pytest.raises(ApiError) as refused:
        models.find(name)
    return refused.value.status, refused.value.code


def test_a_model_is_found_by_its_name_and_its_alias():
    models, one = ServedModels(), generating("a:1")
    models.put(one, alias="a")

    assert models.find("a:1") is models.find("a") is one.served
    assert models.names() == ["a:1"]
    assert refusal(models, "b") == (404, "model_not_found")


def test_a_model_that_is_removed_is_unknown_under_both():
    models, one = ServedModels(), generating("a:1")
    models.put(one, alias="a")
    models.remove(one)
    models.remove(one)

    assert refusal(models, "a:1") == refusal(models, "a") == (404, "model_not_found")


def test_removing_a_model_leaves_the_one_that_took_its_place():
    models, before, after = ServedModels(), generating("a"), generating("a")
    models.put(before, alias="a:1")
    models.put(after, alias="a:2")
    models.remove(before)

    assert models.find("a") is models.find("a:2") is after.served


def test_a_known_model_that_is_not_there_is_not_ready():
    models = ServedModels()
    models.miss("a", "it is being loaded")
    assert refusal(models, "a") == (503, "model_not_ready")

    models.put(generating("a"))
    assert models.find("a").name == "a"
    models.miss("b", "it has failed")
    models.miss("b", None)
    assert refusal(models, "b") == (404, "model_not_found")


def test_a_model_is_asked_for_what_it_does():
    models = ServedModels()
    models.put(generating("chat"))
    models.put(Model("embed", tensor="a graph"))
    models.put(Model("asleep"))

    assert refusal(models, "embed") == (400, None)
    assert models.find_tensor("embed") == "a graph"
    for name, status in (("chat", 400), ("asleep", 503), ("nobody", 404)):
        with pytest.raises(ApiError) as refused:
            models.find_tensor(name)
        assert refused.value.status == status
