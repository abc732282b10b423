"""A picture as one HTML page that needs nothing else: plotly's own script is written into it."""

from datetime import datetime
from html import escape
from typing import Any

import numpy as np

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
from forecaster.plot.picture import Band, Line, Picture, Reliability

_FONT = "Inter, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def page(picture: Picture) -> str:
    """Return the whole page, which works without a network."""
    body = figure(picture).to_html(
        full_html=False,
        include_plotlyjs=True,
        default_width="100%",
        default_height="100%",
        config={"displaylogo": False, "responsive": True},
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(picture.title)}</title>\n"
        "<style>html,body{height:100%;margin:0;background:#fff}"
        "main{height:100%;min-height:820px}main>div{height:100%}</style>\n"
        f"</head>\n<body>\n<main>{body}</main>\n</body>\n</html>\n"
    )


def figure(picture: Picture) -> Any:
    """Return the picture as plotly's figure."""
    from plotly.subplots import make_subplots  # noqa: PLC0415 - slow to import

    checked = picture.reliability is not None
    result = make_subplots(
        rows=3 if checked else 2,
        cols=2,
        specs=[[{"colspan": 2}, None], [{"colspan": 2}, None], *([[{}, {}]] if checked else [])],
        row_heights=[0.52, 0.16, 0.32] if checked else [0.75, 0.25],
        vertical_spacing=0.11,
        horizontal_spacing=0.09,
        subplot_titles=_titles(picture),
    )
    _add_fan(result, picture)
    _add_whole(result, picture)
    if picture.reliability is not None:
        _add_reliability(result, picture.reliability)
    _lay_out(result, picture)
    return result


def _titles(picture: Picture) -> list[str]:
    titles = ["", "All demand that was looked at"]
    if picture.reliability is not None:
        outcomes = f"{picture.reliability.outcomes:,} past outcomes"
        titles += [f"Reliability, {outcomes}", f"Where outcomes fell, {outcomes}"]
    return titles


def _add_fan(result: Any, picture: Picture) -> None:
    ahead = picture.axis.at(picture.ahead)
    for place, band in enumerate(picture.bands):
        _add_band(result, ahead, band, fan_colour(place))
    steps = picture.axis.at(picture.ahead[1:])
    for index, path in enumerate(picture.paths):
        result.add_scatter(
            x=steps, y=path, mode="lines", line={"color": FORECAST, "width": 0.8, "dash": "dot"},
            opacity=0.5, name="scenarios", legendgroup="paths", showlegend=index == 0,
            visible="legendonly", hoverinfo="skip", row=1, col=1,
        )  # fmt: skip
    result.add_scatter(
        x=ahead, y=picture.middle, mode="lines", name="median (p50)",
        line={"color": FORECAST, "width": 2.2}, hovertemplate="%{y:,.4~g}", row=1, col=1,
    )  # fmt: skip
    _add_line(result, picture, picture.recent, row=1, width=1.6)
    _add_origin(result, picture, row=1)


def _add_band(result: Any, ahead: list[datetime], band: Band, colour: str) -> None:
    result.add_scatter(
        x=[*ahead, *reversed(ahead)],
        y=np.concatenate([band.highs, band.lows[::-1]]),
        mode="lines",
        fill="toself",
        fillcolor=colour,
        line={"width": 0},
        name=band.name,
        hoverinfo="skip",
        row=1,
        col=1,
    )


def _add_whole(result: Any, picture: Picture) -> None:
    _add_line(result, picture, picture.whole, row=2, width=0.8)
    _add_origin(result, picture, row=2)


def _add_line(result: Any, picture: Picture, line: Line, *, row: int, width: float) -> None:
    result.add_scatter(
        x=picture.axis.at(line.times), y=line.values, mode="lines", name="demand",
        line={"color": DEMAND, "width": width}, connectgaps=False, showlegend=row == 1,
        hovertemplate="%{y:,.4~g}", row=row, col=1,
    )  # fmt: skip


def _add_origin(result: Any, picture: Picture, *, row: int) -> None:
    moment = picture.axis.at(np.array([picture.origin]))[0]
    result.add_vline(x=moment, line={"color": FAINT, "width": 1.2, "dash": "dash"}, row=row, col=1)


def _add_reliability(result: Any, reliability: Reliability) -> None:
    result.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": FAINT, "dash": "dash", "width": 1},
        hoverinfo="skip", showlegend=False, row=3, col=1,
    )  # fmt: skip
    result.add_scatter(
        x=reliability.levels, y=reliability.coverage, mode="lines+markers", showlegend=False,
        line={"color": ATTENTION, "width": 1.8}, marker={"size": 6},
        hovertemplate="p%{x:.1%}: %{y:.1%} at or below<extra></extra>", row=3, col=1,
    )  # fmt: skip
    centres = (reliability.edges[:-1] + reliability.edges[1:]) / 2
    result.add_bar(
        x=centres, y=reliability.shares, marker={"color": ATTENTION, "opacity": 0.75},
        width=0.092, showlegend=False, hovertemplate="%{y:.1%}<extra></extra>", row=3, col=2,
    )  # fmt: skip
    even = 1 / reliability.shares.size
    result.add_hline(y=even, line={"color": FAINT, "dash": "dash", "width": 1}, row=3, col=2)
    result.update_xaxes(
        title_text="level forecast", tickformat=".0%", range=[0, 1.01], row=3, col=1
    )
    result.update_yaxes(
        title_text="demand at or below", tickformat=".0%", range=[0, 1.02], row=3, col=1
    )
    result.update_xaxes(
        title_text="between levels of the forecast", tickformat=".0%", range=[0, 1], row=3, col=2
    )
    result.update_yaxes(title_text="share of outcomes", tickformat=".0%", row=3, col=2)


def _lay_out(result: Any, picture: Picture) -> None:
    subtitle = (
        f"<br><span style='font-size:13px;color:{PALE_INK}'>{escape(picture.subtitle)}</span>"
    )
    result.update_layout(
        title={
            "text": f"<b>{escape(picture.title)}</b>{subtitle}",
            "x": 0.012,
            "y": 0.975,
            "yanchor": "top",
        },
        template="plotly_white",
        font={"family": _FONT, "color": INK, "size": 13},
        margin={"l": 76, "r": 32, "t": 108, "b": 56},
        legend={"orientation": "h", "y": 1.01, "x": 0, "xanchor": "left", "yanchor": "bottom"},
        hovermode="x",
        autosize=True,
    )
    _align_titles(result)
    result.update_xaxes(gridcolor=GRID, zeroline=False, title_font={"size": 13})
    result.update_yaxes(gridcolor=GRID, zeroline=False, title_font={"size": 13})
    result.update_xaxes(title_text=picture.axis.label, title_standoff=4, row=2, col=1)
    for row in (1, 2):
        result.update_yaxes(title_text=picture.unit, rangemode="tozero", row=row, col=1)
        result.update_xaxes(tickformat=picture.axis.ticks, row=row, col=1)


def _align_titles(result: Any) -> None:
    """Put the titles of the panels where the panels begin."""
    for title, axis in zip(
        result.layout.annotations, ("xaxis2", "xaxis3", "xaxis4"), strict=False
    ):
        title.update(x=result.layout[axis].domain[0], xanchor="left", font={"size": 13})
