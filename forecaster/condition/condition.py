"""The condition of a demand series: what was found in it, and what of it not to learn from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np

from forecaster.condition.gaps import ending_gap, longest_gap
from forecaster.condition.level_shifts import level_shifts
from forecaster.condition.outages import outages, usual_level
from forecaster.condition.runs import Mask, Run, covered
from forecaster.condition.spikes import spikes, surges
from forecaster.condition.stuck import stuck
from forecaster.demand.demand import Demand, Floats

_DAY = 86400.0
_LEAST_TELLING = 3  # steps: where fewer would be left, nothing is ignored
_MANY = 3  # findings of a kind, from which repairs are told together


class Kind(StrEnum):
    """What a finding is of."""

    GAP = "gap"  # not known
    READS_ZERO = "reads_zero"  # a stretch of zeros that are none: collection, or all, was down
    OUTAGE = "outage"  # next to nothing was asked, but something
    STUCK = "stuck"
    SPIKE = "spike"
    SURGE = "surge"  # of minutes to hours, and over
    SHIFT = "level_shift"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in a series, between two moments (seconds since the epoch)."""

    kind: Kind
    start: float
    end: float
    factor: float  # times the usual level; 0 where nothing is seen, NaN where that says nothing
    sentence: str
    z: float = float("nan")  # of a shift: its size in spreads of the usual change


@dataclass(frozen=True, slots=True)
class Condition:
    """What a series shows, and what follows from it for learning."""

    findings: tuple[Finding, ...]  # by their start
    ignored: Mask  # steps that were seen and tell nothing of the time to come
    unlearnt: tuple[Finding, ...]  # what is ignored, and why

    def of(self, *kinds: Kind) -> tuple[Finding, ...]:
        """Return the findings of these kinds."""
        return tuple(finding for finding in self.findings if finding.kind in kinds)


IGNORED_KINDS = (Kind.READS_ZERO, Kind.OUTAGE, Kind.STUCK, Kind.SPIKE)


def examine(demand: Demand, *, season: int | None = None) -> Condition:
    """Look a series over; `season` is the steps in a day, worked out where it is not given.

    A stretch after which nothing else has been seen yet is not ignored: that demand has stopped
    is believed until it is back. What was ignored before is looked at no more, and stays ignored.
    """
    day = season or max(1, round(_DAY / demand.step))
    values = demand.telling
    usual = usual_level(values, day)
    down = outages(values, day)
    values = _without(values, down)
    frozen = stuck(values)
    values = _without(values, frozen)
    lone = spikes(values, day)
    values = _without(values, [rise.run for rise in lone])
    begins = float(demand.window.start) - demand.step
    shifts = level_shifts(values, day, begins=begins)
    found = [
        *_gaps(demand),
        *(_outage(demand, run, usual) for run in down),
        *(_stuck(demand, run) for run in frozen),
        *(_rise(demand, Kind.SPIKE, rise.run, rise.factor) for rise in lone),
        *(_rise(demand, Kind.SURGE, rise.run, rise.factor) for rise in surges(values, day)),
        *(_shift(demand, shift.start, factor=shift.factor, z=shift.z) for shift in shifts),
    ]
    false = [*down, *frozen, *(rise.run for rise in lone)]
    last = _last_telling(demand, false)
    ignored = covered([run for run in false if run.start < last], demand.size)
    if demand.ignored is not None:
        ignored |= demand.ignored
    found.sort(key=lambda one: one.start)
    until = begins + last * demand.step
    over = [one for one in found if one.kind in IGNORED_KINDS and one.start < until]
    return Condition(tuple(found), ignored, tuple(over))


def mended(demand: Demand, *, season: int | None = None) -> Demand:
    """Return the demand with what tells nothing ignored, and a sentence on each such repair."""
    condition = examine(demand, season=season)
    if not condition.unlearnt:
        return demand
    told = (*demand.repairs, *repairs(condition.unlearnt))
    return replace(demand, ignored=condition.ignored, repairs=told)


def repairs(findings: Sequence[Finding]) -> list[str]:
    """Return a sentence on each of the findings that are ignored, on many of a kind one."""
    return [
        sentence
        for kind in IGNORED_KINDS
        for sentence in _repairs([one for one in findings if one.kind is kind])
    ]


def _last_telling(demand: Demand, false: Iterable[Run]) -> int:
    """Return the last step that is seen and not false; 0 where there are too few."""
    telling = np.flatnonzero(np.isfinite(_without(demand.telling, false)))
    return int(telling[-1]) if telling.size >= _LEAST_TELLING else 0


def _without(values: Floats, stretches: Iterable[Run]) -> Floats:
    return np.where(covered(list(stretches), values.size), np.nan, values)


def _repairs(findings: Sequence[Finding]) -> list[str]:
    if len(findings) <= _MANY:
        return [f"{finding.sentence} It is not learned from." for finding in findings]
    longest = max(findings, key=lambda one: one.end - one.start)
    kind = findings[0].kind.value.replace("_", " ")
    return [f"{len(findings)} stretches ({kind}) are not learned from. One: {longest.sentence}"]


def _gaps(demand: Demand) -> list[Finding]:
    """Return the longest gap, and the one at the end if that is another."""
    values = demand.rate.values
    longest = longest_gap(values)
    late = ending_gap(values)
    gaps = {longest} if longest is not None else set()
    if late:
        gaps.add(Run(values.size - late, values.size))
    return [
        _finding(demand, Kind.GAP, gap, float("nan"), "{start}: unknown for {length}.")
        for gap in gaps
    ]


def _outage(demand: Demand, run: Run, usual: Floats) -> Finding:
    seen = demand.rate.values[run.steps]
    expected = float(np.median(usual[run.steps]))
    kind = Kind.OUTAGE if np.median(seen) > 0 else Kind.READS_ZERO
    reads = "reads 0" if kind is Kind.READS_ZERO else f"falls to {np.median(seen):.3g}"
    says = f"{{start}}: {reads} for {{length}}, where {expected:.3g} {demand.unit} are usual."
    return _finding(demand, kind, run, float(seen.mean()) / expected, says)


def _stuck(demand: Demand, run: Run) -> Finding:
    says = f"{{start}}: repeats {demand.rate.values[run.start]:.6g} {demand.unit} for {{length}}."
    return _finding(demand, Kind.STUCK, run, float("nan"), says)


def _rise(demand: Demand, kind: Kind, run: Run, factor: float) -> Finding:
    says = f"{{start}}: {factor:.1f} times the usual level for {{length}}, then over."
    return _finding(demand, kind, run, factor, says)


def _shift(demand: Demand, start: int, *, factor: float, z: float) -> Finding:
    moved = f"rises {factor:.2g}-fold" if factor > 1 else f"falls to {factor:.0%}"
    says = f"{{start}}: the level {moved} and stays there ({abs(z):.0f} spreads from usual)."
    found = _finding(demand, Kind.SHIFT, Run(start, demand.size), factor, says)
    return replace(found, z=z)


def _finding(demand: Demand, kind: Kind, run: Run, factor: float, says: str) -> Finding:
    start = float(demand.window.start) + (run.start - 1) * demand.step
    end = start + run.size * demand.step
    at = datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Finding(kind, start, end, factor, says.format(start=at, length=_length(end - start)))


def _length(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
