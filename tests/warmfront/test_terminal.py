"""The terminal view says what is, in words; a section that cannot be read says why."""

import dataclasses
import io

import pytest
from rich.console import Console

from dashboards.console.sections import (
    Band,
    Capacity,
    Decision,
    Demand,
    Gpu,
    Latency,
    Outlook,
    Percentiles,
    Replicas,
    Traffic,
    Unavailable,
)
from dashboards.console.snapshot import Settings, Snapshot
from warmfront.terminal import sparkline, view

EMPTY = Percentiles((), (), None, None)
BAND = Band((1.0, 1.0), (2.0, 3.0), (4.0, 6.5))
GPU = Gpu("0", "SIM-0", "Warmfront Simulated GPU", "here", True, 0.42, 1.0, None, 330.0, None)


def _snapshot(**changes: object) -> Snapshot:
    settings = Settings(
        model="tiny",
        addresses={"API": "http://127.0.0.1:8000/v1", "console": "http://127.0.0.1:8001"},
        notes=("Iterations are paced (simulated speed).",),
        compression=600.0,
    )
    snapshot = Snapshot(
        at=0.0,
        settings=settings,
        times=(0.0, 10.0),
        demand=Demand(12.34, (6.0, 12.34), 11.0, 9.0, 14.0, BAND, {}),
        forecast=Outlook(0.0, 10.0, (10.0, 20.0), BAND),
        replicas=Replicas({}, {}, {"serving": 2, "starting": 1}, {"serving": 3, "standby": 0}),
        latency=Latency(Percentiles((), (), 0.08, 1.25), EMPTY),
        traffic=Traffic((), (), (), 420.0, 7.0, 0.0),
        gpus=(GPU,),
        capacity=Capacity(None, {}),
        fleet=(),
        signals=(),
        anomalies=(),
        decisions=(Decision(0.0, "demand_forecast", "3 serving because.", 3, 0, {}),),
        targets=(),
    )
    return dataclasses.replace(snapshot, **changes)


def _drawn(snapshot: Snapshot, width: int = 110) -> str:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(view(snapshot, width=width))
    return out.getvalue()


@pytest.mark.parametrize(
    "said",
    [
        "12.3 req/s   forecast 11.0 (9.0 to 14.0)",
        "up to 6.5 req/s in the next 20 s",
        "●● 2 serving",
        "● 1 starting",
        "wanted: 3 serving, 0 standby",
        "TTFT p50 80 ms  p95 1.2 s",
        "420 tokens/s   7 in flight   0 held",
        "0: 42% 330 W   simulated",
        "demand_forecast  3 serving because.",
        "Iterations are paced (simulated speed).",
        "console http://127.0.0.1:8001",
        "time runs x600",
    ],
)
def test_everything_that_matters_is_on_the_screen(said: str):
    assert said in _drawn(_snapshot())


def test_what_is_not_known_yet_is_said_in_words():
    quiet = Demand(None, (None, None), None, None, None, BAND, {})
    drawn = _drawn(_snapshot(demand=quiet, forecast=None, gpus=(), decisions=()))

    assert "no requests counted yet" in drawn
    assert "none yet: a few steps of demand must pass first" in drawn
    assert "none reported yet" in drawn
    assert "0%" not in drawn


def test_a_section_that_cannot_be_read_says_why_and_hides_no_other():
    drawn = _drawn(_snapshot(demand=Unavailable("the store is locked")))

    assert "unavailable: the store is locked" in drawn
    assert "2 serving" in drawn


def test_the_view_fits_a_narrow_terminal():
    assert max(map(len, _drawn(_snapshot(), width=60).splitlines())) <= 60


def test_a_sparkline_reaches_from_zero_to_the_highest_and_leaves_gaps_blank():
    assert sparkline([0.0, None, 4.0, 8.0], 4) == "▁ ▅█"
    assert sparkline([0.0, 0.0], 4) == "▁▁"
    assert sparkline([9.0, 1.0, 8.0], 2) == "▂█"
