"""How near the quantiles are to what came: against the naive, peers, members and missing data."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from report import Row

from forecasting import folder
from forecasting.gathering import MASKED, OURS, Gathered, gather
from forecasting.losses import NAIVE, ratio

MISSING_BAR = 1.25
COVERED_BARS = (0.87, 0.93)  # of the .9 quantile, on each series
HIGHEST_BAR = 0.975  # of the .99 quantile
CPU_BAR = 50.0  # milliseconds of one thread, fit included


@dataclass(frozen=True, slots=True)
class Reach:
    """The first steps that count, how many minutes those are, and what must hold there."""

    steps: int
    minutes: int
    naive_bar: float | None = None
    peer_bar: float | None = None
    member_bar: float | None = None


MINUTES = (Reach(15, 15, 0.42, 0.88, 1.05), Reach(60, 60, 0.52, 0.80, 1.05))
WINDOWS = (Reach(2, 20), Reach(6, 60))  # for information


def minutes(options: Namespace) -> Iterator[Row]:
    """Measure on the series by the minute."""
    where = Path(options.folder)
    yield from _left_out(folder.find(where, folder.MINUTE))
    found = gather(folder.by_the_minute(where), horizon=60, options=options)
    yield from _against_others(found, MINUTES)
    yield from _calibration(found, MINUTES, with_bars=True)
    yield from _missing(found, MINUTES)
    yield from _cpu(found)
    yield from _everybody(found, MINUTES)
    yield from _each_series(found, MINUTES)


def windows(options: Namespace) -> Iterator[Row]:
    """Measure on the series by ten minutes, if there are any."""
    series = folder.find(Path(options.folder), folder.WINDOW)
    yield from _left_out(series)
    if not series.tested:
        yield Row("not measured: no series by ten minutes here", OURS, float("nan"), "")
        return
    found = gather(series.tested, horizon=6, options=options)
    yield from _against_others(found, WINDOWS)
    yield from _calibration(found, WINDOWS, with_bars=False)
    yield from _everybody(found, WINDOWS)
    yield from _each_series(found, WINDOWS)


def _left_out(found: folder.Found) -> Iterator[Row]:
    if found.short:
        figure = f"not tested: less than {folder.LEAST_DAYS} days"
        yield Row(figure, ", ".join(found.short), float("nan"), "")
    for why in found.unread:
        yield Row(f"not tested: {why}", "demand", float("nan"), "")


def _against_others(found: Gathered, reaches: tuple[Reach, ...]) -> Iterator[Row]:
    for who, why in found.missing.items():
        yield Row(f"not measured: {why}", who, float("nan"), "")
    libraries = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    yield Row("peers' libraries", libraries, len(found.versions), "")
    for reach in reaches:
        over = ratio(found.results, OURS, NAIVE, reach.steps)
        figure = f"wQL over the daily naive, {reach.minutes} min"
        yield Row(figure, f"{OURS} {over}", over.value, "x", reach.naive_bar)
    for reach in reaches:
        yield from _best_peer(found, reach)
    for reach in reaches:
        yield _best_member(found, reach)
    for reach in reaches:
        yield from _within_noise(found, reach)


def _best_peer(found: Gathered, reach: Reach) -> Iterator[Row]:
    figure = f"wQL over the best single peer's, {reach.minutes} min"
    if not found.peers:
        yield Row(f"not measured: {figure}", "no peer answered", float("nan"), "")
        return
    over = {who: ratio(found.results, OURS, who, reach.steps) for who in found.peers}
    best = max(over, key=lambda who: over[who].value)
    yield Row(figure, f"{OURS} / {best} {over[best]}", over[best].value, "x", reach.peer_bar)


def _best_member(found: Gathered, reach: Reach) -> Row:
    """Return the series on which one member alone would have been better by most."""
    worst = {}
    for one in found.results:
        lost = one.lost_by(found.members, reach.steps)
        best = min(lost, key=lambda name: lost[name])
        over = float(one.lost(OURS, reach.steps).sum() / lost[best])
        worst[f"{one.series.name}, {best}"] = over
    where = max(worst, key=lambda name: worst[name])
    figure = f"wQL over the best single member's, worst series, {reach.minutes} min"
    return Row(figure, where, worst[where], "x", reach.member_bar)


def _within_noise(found: Gathered, reach: Reach) -> Iterator[Row]:
    """Name those that the origins cannot tell from Warmfront."""
    names = [*found.peers, *found.members]
    over = {name: ratio(found.results, OURS, name, reach.steps) for name in names}
    tied = [name for name in names if over[name].low <= 1.0 <= over[name].high]
    figure = f"subjects within noise of Warmfront, {reach.minutes} min"
    yield Row(figure, f"like {', '.join(tied) or 'none'}", len(tied), f"of {len(names)}")


def _calibration(found: Gathered, reaches: tuple[Reach, ...], *, with_bars: bool) -> Iterator[Row]:
    least, most = COVERED_BARS if with_bars else (None, None)
    for reach in reaches:
        shares = _shares(found, reach, 0.9)
        (low, _), (high, _) = shares[0], shares[-1]
        figure = f"coverage of .9, {reach.minutes} min"
        yield Row(f"{figure}, lowest series", shares[0][1], low, "", least, at_least=True)
        yield Row(f"{figure}, highest series", shares[-1][1], high, "", most)
    for reach in reaches:
        low, where = _shares(found, reach, 0.99)[0]
        bar = HIGHEST_BAR if with_bars else None
        figure = f"coverage of .99, {reach.minutes} min, lowest series"
        yield Row(figure, where, low, "", bar, at_least=True)


def _shares(found: Gathered, reach: Reach, level: float) -> list[tuple[float, str]]:
    """Return the coverage on each series, the lowest first, with its name and interval."""
    shares = [(one.coverage(OURS, reach.steps, level), one.series.name) for one in found.results]
    return sorted((share.value, f"{name} {share}") for share, name in shares)


def _missing(found: Gathered, reaches: tuple[Reach, ...]) -> Iterator[Row]:
    for reach in reaches:
        cost = {
            one.series.name: float(
                one.lost(MASKED, reach.steps).sum() / one.lost(OURS, reach.steps).sum()
            )
            for one in found.results
        }
        worst = max(cost, key=lambda name: cost[name])
        figure = f"wQL with a fifth and 30 min missing, worst series, {reach.minutes} min"
        yield Row(figure, worst, cost[worst], "x", MISSING_BAR)


def _cpu(found: Gathered) -> Iterator[Row]:
    spent = 1000 * found.seconds[OURS]
    yield Row("CPU per forecast, mean", OURS, float(spent.mean()), "ms", CPU_BAR)
    yield Row(
        "CPU per forecast, 99th percentile",
        f"{OURS}, slowest",
        float(np.percentile(spent, 99)),
        "ms",
    )


def _everybody(found: Gathered, reaches: tuple[Reach, ...]) -> Iterator[Row]:
    """Tell the same of each subject, over the series that it forecast."""
    for who in (OURS, MASKED, *found.members, *found.peers, NAIVE):
        results = [one for one in found.results if who in one.told]
        part = "" if len(results) == len(found.results) else f" ({len(results)} series)"
        for reach in reaches:
            over = ratio(results, who, NAIVE, reach.steps)
            yield Row(
                f"wQL over the daily naive, {reach.minutes} min", who + part, over.value, "x"
            )
        for reach in reaches:
            errors = [one.scaled_error(who, reach.steps) for one in results]
            mean = float(np.exp(np.mean(np.log(errors))))
            yield Row(f"MASE, {reach.minutes} min", who + part, mean, "")
        for level in (0.9, 0.99):
            shares = [one.coverage(who, reaches[-1].steps, level).value for one in results]
            figure = f"coverage of {level:g}, {reaches[-1].minutes} min"
            yield Row(figure, who + part, float(np.mean(shares)), "")
        if who in found.seconds:
            spent = 1000 * float(found.seconds[who].mean())
            yield Row("CPU per forecast, mean", who + part, spent, "ms")


def _each_series(found: Gathered, reaches: tuple[Reach, ...]) -> Iterator[Row]:
    for one in found.results:
        name = one.series.name
        yield Row("origins", name, one.origins.size, "")
        for reach in reaches:
            at = f"{reach.minutes} min"
            yield Row(f"wQL, {at}", name, one.weighted_loss(OURS, reach.steps), "")
            yield Row(
                f"wQL over the daily naive, {at}", name,
                ratio([one], OURS, NAIVE, reach.steps).value, "x",
            )  # fmt: skip
            for peers, kind in ((found.peers, "peer"), (found.members, "member")):
                lost = one.lost_by(peers, reach.steps)
                if lost:
                    best = min(lost, key=lambda who: lost[who])
                    over = ratio([one], OURS, best, reach.steps)
                    figure = f"wQL over its best {kind}'s, {at}"
                    yield Row(figure, f"{name}, {best} {over}", over.value, "x")
            for level in (0.9, 0.99):
                share = one.coverage(OURS, reach.steps, level).value
                yield Row(f"coverage of {level:g}, {at}", name, share, "")
