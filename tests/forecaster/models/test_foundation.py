from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from forecaster.history import Floats, History
from forecaster.models.extras import ModelError
from forecaster.models.foundation import (
    GROUP,
    Echo,
    Foundation,
    foundation_models,
    interpolated,
    load,
    spread_out,
)

GAP = np.nan
SEASON = 12


def weekly_echo() -> Echo:
    return Echo(7 * SEASON)


def broken() -> Echo:
    raise OSError("weights not found")


def point(name: str, function: str) -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{function}", GROUP)


@dataclass(frozen=True)
class Counted:
    """Tells the last value of each context, and remembers how many it was given."""

    name: str = "counted"
    context: int = 20
    sizes: list[int] = field(default_factory=list)

    def quantiles(
        self, contexts: Sequence[Floats], horizon: int, levels: Sequence[float]
    ) -> Floats:
        self.sizes.extend(context.size for context in contexts)
        last = np.array([context[-1] for context in contexts])
        return np.broadcast_to(last[:, None, None], (last.size, horizon, len(levels)))


def history_of(values: Floats) -> History:
    return History(values, step=60.0, season=SEASON)


def test_the_echo_tells_the_last_season_again() -> None:
    values = np.tile(np.arange(1.0, 13.0), 4)

    told = Foundation(Echo(SEASON)).fit(history_of(values)).paths(np.array([38]), np.arange(1, 9))

    assert told.shape == (1, 8, 9)
    assert told[0, :, 4].tolist() == values[39:47].tolist()


def test_no_more_origins_are_asked_than_allowed() -> None:
    model = Counted()
    fitted = Foundation(model, most_origins=5).fit(history_of(np.arange(1.0, 101.0)))

    told = fitted.paths(np.arange(40, 100), np.array([1, 5]))

    assert model.sizes == [20] * 5
    assert told.shape == (60, 2, 9)


def test_between_those_asked_a_path_moves_to_the_level_seen_since() -> None:
    values = np.concatenate([np.full(60, 4.0), np.full(60, 9.0)])
    fitted = Foundation(Counted(), most_origins=2).fit(history_of(values))

    told = fitted.paths(np.array([50, 70, 119]), np.array([1, 10]))

    assert told[1, :, 4].tolist() == [9.0, 9.0]


def test_between_those_asked_nothing_is_known_of_what_comes_after() -> None:
    values = np.arange(1.0, 101.0)
    changed = values.copy()
    changed[71:] = 500.0
    origins = np.array([50, 60, 65, 70])

    before, after = (
        Foundation(Echo(SEASON), most_origins=3)
        .fit(history_of(v))
        .paths(origins, np.array([1, 4]))
        for v in (values, changed)
    )

    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([1.0, GAP, 3.0], [1.0, 2.0, 3.0], id="within"),
        pytest.param([1.0, 2.0, GAP], [1.0, 2.0, 2.0], id="at-the-origin"),
        pytest.param([GAP, 2.0, 3.0], [2.0, 2.0, 3.0], id="at-the-beginning"),
    ],
)
def test_gaps_are_bridged(values: list[float], expected: list[float]) -> None:
    # what comes after the origin must not be seen
    history = history_of(np.array([*values, 50.0]))

    assert interpolated(history, 2, 10).tolist() == expected


def test_a_context_of_nothing_but_gaps_is_the_value_before() -> None:
    history = history_of(np.array([5.0, GAP, GAP, GAP]))

    assert interpolated(history, 3, 2).tolist() == [5.0, 5.0]


def test_the_first_and_the_last_origin_are_always_asked() -> None:
    chosen = spread_out(np.arange(100), 7)

    assert chosen.size == 7
    assert (chosen[0], chosen[-1]) == (0, 99)
    assert spread_out(np.arange(3), 7).tolist() == [0, 1, 2]


def test_a_model_is_loaded_by_the_name_of_its_entry_point() -> None:
    points = [point("echo", "weekly_echo"), point("other", "broken")]

    assert foundation_models(points) == ("echo", "other")
    assert load("echo", points).name == "echo"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(
            "broken", r"'broken' .* does not load \(OSError: weights not found\)", id="raises"
        ),
        pytest.param("gone", r"'gone' .* does not load \(AttributeError", id="no-such-function"),
        pytest.param(
            "unknown", "no foundation model 'unknown'; there are: broken, gone", id="unknown"
        ),
    ],
)
def test_what_does_not_load_is_one_clear_message(name: str, message: str) -> None:
    points = [point("broken", "broken"), point("gone", "no_such_function")]

    with pytest.raises(ModelError, match=message):
        load(name, points)


def test_an_answer_of_the_wrong_shape_is_refused() -> None:
    class Short(Echo):
        def quantiles(self, contexts, horizon, levels):
            return np.zeros((1, 1, 1))

    fitted = Foundation(Short(SEASON)).fit(history_of(np.ones(50)))

    with pytest.raises(ModelError, match=r"shape \(1, 1, 1\)"):
        fitted.paths(np.array([49]), np.array([1, 2]))
