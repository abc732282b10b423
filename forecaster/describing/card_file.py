"""A model card as a page for people."""

import math
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from forecaster.describing.card import ModelCard
from forecaster.moments import moment
from forecaster.scoring.summary import Scores

_UTC = ZoneInfo("UTC")
_SHOWN_LEVELS = (0.5, 0.9, 0.99)


def as_markdown(card: ModelCard) -> str:
    """Return the card as a page."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: ModelCard) -> Iterator[str]:
    yield f"# Model card: {card.name}"
    yield ""
    yield f"Made {moment(card.made_at, _UTC)} by warmfront {card.version}."
    yield ""
    yield from _section("Data", _data(card))
    yield from _section("Settings", [f"{key}: {value}" for key, value in card.settings.items()])
    yield from _section("Demand", card.description)
    yield f"## Model: {card.model}"
    yield ""
    yield from _table(
        ("member", "weight", "loss (root scale)"),
        [(one.name, f"{one.weight:.1%}", _number(one.loss)) for one in card.members],
    )
    yield from _scores(card)
    yield from _section("Limits", card.limits)


def _section(title: str, points: list[str] | tuple[str, ...]) -> Iterator[str]:
    if points:
        yield f"## {title}"
        yield ""
        yield from (f"- {point}" for point in points)
        yield ""


def _data(card: ModelCard) -> list[str]:
    data = card.data
    return [
        f"{moment(data.begins, _UTC)} to {moment(data.ends, _UTC)}",
        f"{data.steps} steps of {data.step:g} s, in {data.unit}",
        f"{data.gaps:.1%} unknown, {data.ignored:.1%} seen and not learned from",
        *data.repairs,
    ]


def _scores(card: ModelCard) -> Iterator[str]:
    if card.overall is None:
        return
    yield f"## Scores at {card.origins} past origins"
    yield ""
    levels = [level for level in _SHOWN_LEVELS if level in card.overall.coverage]
    yield from _table(
        (
            "minutes ahead", "weighted quantile loss", "MASE", "over yesterday",
            "over the last value", *(f"at or below {level:g}" for level in levels),
        ),
        [_row(one, levels) for one in (*card.by_horizon, card.overall)],
    )  # fmt: skip


def _row(scores: Scores, levels: list[float]) -> tuple[str, ...]:
    return (
        f"{scores.begins:g}-{scores.ends:g}",
        _number(scores.relative_loss),
        _number(scores.scaled_error),
        _number(scores.over_yesterday),
        _number(scores.over_last),
        *(f"{scores.coverage[level]:.1%}" for level in levels),
    )


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    for row in (header, ("---",) * len(header), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "unknown"
