"""A picture as an image file: PNG for a page or a message, SVG or PDF for print."""

import io
from typing import Any

import numpy as np

from forecaster.demand.demand import DemandError
from forecaster.plot.colours import (
    ATTENTION,
    DEMAND,
    FAINT,
    FORECAST,
    GRID,
    INK,
    PALE_INK,
    fan_colour,
)
from forecaster.plot.picture import Line, Picture, Reliability

KINDS = ("png", "svg", "pdf")

_SIZE = (12.0, 8.4)  # inches
_DOTS = 150  # an inch


def image(picture: Picture, kind: str) -> bytes:
    """Return the picture as a file of one of the `KINDS`."""
    file = io.BytesIO()
    figure(picture).savefig(file, format=kind, dpi=_DOTS, facecolor="white")
    return file.getvalue()


def figure(picture: Picture) -> Any:
    """Return the picture as matplotlib's figure."""
    made = _new_figure()
    checked = picture.reliability is not None
    grid = made.add_gridspec(
        3 if checked else 2, 2, height_ratios=[5, 1.5, 3] if checked else [5, 1.5]
    )
    made.suptitle(picture.title, x=0.012, ha="left", fontsize=15, fontweight="bold", color=INK)
    _draw_fan(made.add_subplot(grid[0, :]), picture)
    _draw_whole(made.add_subplot(grid[1, :]), picture)
    if picture.reliability is not None:
        _draw_reliability(made.add_subplot(grid[2, 0]), picture.reliability)
        _draw_shares(made.add_subplot(grid[2, 1]), picture.reliability)
    return made


def _new_figure() -> Any:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise DemandError(
            "images are drawn by matplotlib, which is not installed: "
            "pip install 'warmfront[plot]', or write a page that ends in .html"
        ) from error
    return Figure(figsize=_SIZE, layout="constrained")


def _draw_fan(axes: Any, picture: Picture) -> None:
    ahead = picture.axis.at(picture.ahead)
    _draw_line(axes, picture, picture.recent, width=1.4)
    for place, band in enumerate(picture.bands):
        axes.fill_between(
            ahead, band.lows, band.highs, color=fan_colour(place), lw=0, label=band.name
        )
    axes.plot(ahead, picture.middle, color=FORECAST, lw=2.0, label="median (p50)")
    _tidy(axes, "")
    axes.set_title(picture.subtitle, loc="left", fontsize=10.5, color=PALE_INK, pad=26)
    _mark_origin(axes, picture)
    axes.set_ylabel(picture.unit)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=6, frameon=False, fontsize=9,
        handlelength=1.6, columnspacing=1.4,
    )  # fmt: skip
    _date(axes, picture)


def _draw_whole(axes: Any, picture: Picture) -> None:
    _draw_line(axes, picture, picture.whole, width=0.6)
    _tidy(axes, "All demand that was looked at")
    _mark_origin(axes, picture)
    axes.set_ylabel(picture.unit)
    axes.set_xlabel(picture.axis.label)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    _date(axes, picture)


def _draw_line(axes: Any, picture: Picture, line: Line, *, width: float) -> None:
    axes.plot(picture.axis.at(line.times), line.values, color=DEMAND, lw=width, label="demand")


def _draw_reliability(axes: Any, reliability: Reliability) -> None:
    axes.plot([0, 1], [0, 1], color=FAINT, lw=1, ls="--")
    axes.plot(reliability.levels, reliability.coverage, color=ATTENTION, lw=1.6, marker="o", ms=4)
    _tidy(axes, f"Reliability, {reliability.outcomes:,} past outcomes")
    axes.set(xlabel="level forecast", ylabel="demand at or below", xlim=(0, 1), ylim=(0, 1.02))
    _percent(axes.xaxis)
    _percent(axes.yaxis)


def _draw_shares(axes: Any, reliability: Reliability) -> None:
    edges = reliability.edges
    axes.bar(
        edges[:-1], reliability.shares, np.diff(edges) * 0.92, align="edge", color=ATTENTION,
        alpha=0.75,
    )  # fmt: skip
    axes.axhline(1 / reliability.shares.size, color=FAINT, lw=1, ls="--")
    _tidy(axes, "Where outcomes fell: even is right, a U is too narrow")
    axes.set(xlabel="between levels of the forecast", ylabel="share of outcomes", xlim=(0, 1))
    _percent(axes.xaxis)
    _percent(axes.yaxis)


def _tidy(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.grid(color=GRID, lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)


def _mark_origin(axes: Any, picture: Picture) -> None:
    moment = picture.axis.at(np.array([picture.origin]))[0]
    axes.axvline(moment, color=FAINT, lw=1, ls="--")


def _date(axes: Any, picture: Picture) -> None:
    from matplotlib import dates  # noqa: PLC0415 - an extra

    locator = dates.AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    ticks = picture.axis.ticks
    axes.xaxis.set_major_formatter(
        dates.ConciseDateFormatter(locator) if ticks is None else dates.DateFormatter(ticks)
    )


def _percent(axis: Any) -> None:
    from matplotlib.ticker import PercentFormatter  # noqa: PLC0415 - an extra

    axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
