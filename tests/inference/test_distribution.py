"""PyPI knows another `inference` and another `exporter`: ours must be what is imported."""

import importlib
from importlib.metadata import distribution
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROOMS = [
    "alerts", "autoscaler", "dashboards", "exporter", "forecaster", "inference", "telemetry",
    "warmfront",
]  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_comes_from_this_distribution(room: str):
    where = Path(importlib.import_module(room).__file__).resolve()

    shipped = {Path(file.locate()).resolve() for file in distribution("warmfront").files or ()}
    assert where in shipped or where == REPOSITORY / room / "__init__.py"
