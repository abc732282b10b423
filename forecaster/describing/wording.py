"""Traits as plain sentences, each with its number, that say no more than was measured."""

import math
from collections.abc import Iterator

from forecaster.condition.condition import Finding
from forecaster.describing.predictability import Predictability
from forecaster.describing.tenants import Concentration
from forecaster.describing.traits import Traits
from forecaster.describing.trend import Trend
from forecaster.describing.variation import Burstiness
from forecaster.scoring.bootstrap import LossRatio

_SHOWN = 3  # findings of one kind that are told one by one
_STRENGTHS = ((0.1, "next to nothing"), (0.3, "a little"), (0.6, "much"), (1.01, "most"))


def sentences(traits: Traits) -> tuple[str, ...]:
    """Return what was measured, one sentence for each trait that could be told."""
    return (
        *_size(traits),
        *_gaps(traits),
        *_seasons(traits),
        *_trend(traits.trend),
        *_bursts(traits.burstiness),
        *_findings(traits.findings),
        *_tenants(traits.tenants),
        *_predictability(traits.predictability),
    )


def _size(traits: Traits) -> Iterator[str]:
    span = f"{traits.days:.1f} days" if traits.days >= 2 else f"{24 * traits.days:.1f} hours"  # noqa: PLR2004 - days
    steps = f"{traits.name} covers {span} in steps of {_seconds(traits.step)}"
    if math.isnan(traits.mean):
        yield f"{steps}, and nothing is known of its demand."
        return
    yield f"{steps}, with {_number(traits.mean)} {traits.unit} on average."
    if not math.isnan(traits.variation):
        yield f"It varies by {_share(traits.variation)} of its mean (standard deviation)."


def _gaps(traits: Traits) -> Iterator[str]:
    if traits.gaps.share > 0:
        longest = _seconds(60.0 * traits.gaps.longest_minutes)
        share = _share(traits.gaps.share)
        yield f"Unknown is {share} of it; the longest gap lasts {longest}."
    else:
        yield "It has no gaps."
    if traits.zeros > 0:
        yield f"Nothing is asked in {_share(traits.zeros)} of the known steps."


def _seasons(traits: Traits) -> Iterator[str]:
    daily, weekly = traits.seasonality.daily, traits.seasonality.weekly
    if math.isnan(daily):
        yield "Whether days resemble each other cannot be told yet: that takes three whole days."
    else:
        yield (
            f"The time of day explains {_share(daily)} of how its half hours differ within a "
            f"day: {_strength(daily)}."
        )
    if math.isnan(weekly):
        yield "Whether weeks resemble each other cannot be told yet: that takes two whole weeks."
    else:
        yield (
            f"The day of the week explains {_share(weekly)} of what the time of day leaves: "
            f"{_strength(weekly)}."
        )


def _trend(found: Trend | None) -> Iterator[str]:
    if found is None:
        return
    if found.is_sure:
        way = "rises" if found.per_week > 0 else "falls"
        yield (
            f"Demand {way} by {_share(abs(found.per_week))} of its mean per week, seen over "
            f"{found.days} days (chance {found.chance:.2g} without a trend)."
        )
    else:
        yield (
            f"No trend can be told from its {found.days} days: {found.per_week:+.0%} per week "
            f"has a chance of {found.chance:.2g} without one."
        )


def _bursts(found: Burstiness) -> Iterator[str]:
    if not math.isnan(found.dispersion):
        yield (
            f"From step to step it varies {_number(found.dispersion)} times as much as "
            f"independent requests would (variance over mean of counts)."
        )
    if not math.isnan(found.peak):
        yield f"One step in a hundred exceeds {_number(found.peak)} times the median."
    if not math.isnan(found.hour_correlation):
        yield f"Its correlation with itself an hour before is {found.hour_correlation:.2f}."


def _findings(found: tuple[Finding, ...]) -> Iterator[str]:
    for kind in dict.fromkeys(one.kind for one in found):
        same = [one for one in found if one.kind == kind]
        latest = same[-_SHOWN:]
        if len(same) > _SHOWN:
            name = kind.value.replace("_", " ")
            yield f"Found {len(same)} times ({name}); the latest {_SHOWN} follow."
        yield from (one.sentence for one in latest)


def _tenants(found: Concentration | None) -> Iterator[str]:
    if found is None:
        return
    says = f"The largest of {found.tenants} tenants, {found.largest}, asks {_share(found.share)}"
    yield f"{says}: it is worth a forecast of its own." if found.has_large else f"{says} of it."


def _predictability(found: Predictability | None) -> Iterator[str]:
    if found is None:
        yield "How predictable it is cannot be told: there were no past forecasts to judge."
        return
    ahead = _seconds(60.0 * found.horizon_minutes)
    yield from _compared(found.over_yesterday, ahead, "repeating the day before")
    yield from _compared(found.over_last, ahead, "holding the last value")


def _compared(ratio: LossRatio, ahead: str, simple: str) -> Iterator[str]:
    if math.isnan(ratio.ratio):
        yield f"Over the next {ahead} it could not be compared with {simple}."
        return
    between = f"{ratio.low:.2f} to {ratio.high:.2f}"
    if math.isnan(ratio.low):
        between = "too few apart to say how surely,"
    counted = f"({between} at {ratio.origins} origins)"
    if ratio.is_within_noise:
        yield (
            f"Over the next {ahead} it cannot be predicted better than by {simple}, as far as "
            f"can be told: the loss is {ratio.ratio:.2f} times that {counted}."
        )
    elif ratio.ratio < 1:
        yield (
            f"Over the next {ahead} forecasts lose {_share(1 - ratio.ratio)} less than {simple}: "
            f"{ratio.ratio:.2f} times {counted}."
        )
    else:
        yield (
            f"Over the next {ahead} forecasts are worse than {simple}: the loss is "
            f"{ratio.ratio:.2f} times that {counted}."
        )


def _strength(share: float) -> str:
    return next(word for most, word in _STRENGTHS if share < most)


def _share(share: float) -> str:
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"  # noqa: PLR2004 - digits that count


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"  # noqa: PLR2004 - digits


def _seconds(seconds: float) -> str:
    for size, unit in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= size:
            count = f"{seconds / size:.3g}"
            return f"{count} {unit}" if count == "1" else f"{count} {unit}s"
    return f"{seconds:.3g} s"
