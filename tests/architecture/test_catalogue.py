"""The catalogue is the contract: a metric is named there, and nowhere else."""

import re
from pathlib import Path

import pytest

from telemetry.catalog import CATALOG

ROOT = Path(__file__).parents[2]
ROOMS = ("alerts", "autoscaler", "dashboards", "exporter", "forecaster", "inference", "warmfront")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
NAME = re.compile(r'"((?:warmfront|gen_ai_server|DCGM_FI)_[A-Za-z0-9_]+)"')


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_metric_is_named_outside_the_catalogue(path: Path):
    assert NAME.findall(path.read_text()) == []


def test_every_metric_is_used_by_some_room():
    text = "\n".join(path.read_text() for path in SOURCES)
    text += "".join(path.read_text() for path in (ROOT / "telemetry").glob("s*.py"))
    module = (ROOT / "telemetry" / "catalog.py").read_text()
    constants = re.findall(r"^([A-Z_]+) = _(?:counter|gauge|histogram)\(", module, re.MULTILINE)

    assert len(constants) == len(CATALOG)
    assert [name for name in constants if not re.search(rf"\b{name}\b", text)] == []
