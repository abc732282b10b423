import json
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import pytest

from dashboards.console.sections import Target, Unavailable
from dashboards.console.snapshot import Settings, Snapshot, to_plain


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Pair:
    left: float
    right: tuple[float | None, ...]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        pytest.param(math.nan, None, id="NaN is null"),
        pytest.param(-math.inf, None, id="infinity is null"),
        pytest.param(None, None, id="a gap stays a gap"),
        pytest.param(True, True, id="truth stays truth"),
        pytest.param(np.float32(0.5), 0.5, id="numpy's numbers"),
        pytest.param(np.array([1.0, np.nan]), [1.0, None], id="numpy's arrays"),
        pytest.param(Colour.RED, "red", id="an enum is its value"),
        pytest.param({1: (2, 3)}, {"1": [2, 3]}, id="keys are strings"),
        pytest.param(Pair(1.0, (None, 2.0)), {"left": 1.0, "right": [None, 2.0]}, id="a value"),
        pytest.param(Path("a"), "a", id="anything else is its text"),
    ],
)
def test_whatever_is_handed_in_becomes_plain_json(value, plain):
    assert plain == to_plain(value)

    json.dumps(to_plain(value), allow_nan=False)


@pytest.mark.parametrize("wrong", [{"step_seconds": 0.0}, {"points": 1}])
def test_settings_that_draw_no_line_are_refused(wrong):
    with pytest.raises(ValueError, match="expected step_seconds > 0 and points >= 2"):
        Settings(model="m", **wrong)


def snapshot(**sections) -> Snapshot:
    names = ("demand", "replicas", "latency", "traffic", "gpus", "capacity", "fleet", "signals")
    empty = dict.fromkeys((*names, "anomalies", "decisions", "targets"), ())
    given = {**empty, "forecast": None, **sections}
    return Snapshot(at=0.0, settings=Settings(model="m"), times=(), **given)


def test_nothing_amiss_is_no_problem():
    up = snapshot(targets=(Target("gateway", "here:1", up=True),))

    assert up.problems == ()


def test_sections_that_fail_for_one_reason_are_one_problem():
    locked = Unavailable("the file is locked")
    found = snapshot(demand=locked, gpus=locked, fleet=Unavailable("no table")).problems

    assert found == (
        "Cannot read demand, gpus: the file is locked",
        "Cannot read fleet: no table",
    )


def test_a_target_that_is_down_is_a_problem():
    found = snapshot(targets=(Target("exporter", "here:2", up=False),)).problems

    assert found == ("exporter at here:2 does not answer",)
