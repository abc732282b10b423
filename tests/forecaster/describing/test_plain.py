import json
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from forecaster.describing.plain import plain


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Thing:
    colour: Colour
    sizes: tuple[float, ...]
    table: np.ndarray
    by_level: dict[float, float]
    inner: object = None


def test_any_value_becomes_what_json_holds() -> None:
    inner = Thing(Colour.RED, (1.0, float("nan")), np.array([[1.0, np.inf]]), {0.5: np.float64(2)})

    found = plain(Thing(Colour.RED, (), np.array([]), {}, inner))

    assert json.loads(json.dumps(found, allow_nan=False))["inner"] == {
        "colour": "red",
        "sizes": [1.0, None],
        "table": [[1.0, None]],
        "by_level": {"0.5": 2.0},
        "inner": None,
    }
