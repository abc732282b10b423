from dataclasses import replace

import numpy as np
import pytest

from forecaster.condition.condition import Finding, Kind
from forecaster.describing.predictability import Predictability
from forecaster.describing.seasonality import Seasonality
from forecaster.describing.tenants import Concentration
from forecaster.describing.traits import Traits
from forecaster.describing.trend import Trend
from forecaster.describing.variation import Burstiness, Gaps
from forecaster.describing.wording import sentences
from forecaster.scoring.bootstrap import LossRatio

NAN = float("nan")
TRAITS = Traits(
    "chat", "requests/s", 60.0, 14.0, 1234.5, 0.32, 0.0, Gaps(0.0, 0.0),
    Seasonality(0.61, 0.05), Trend(0.2, 0.0001, 28), Burstiness(53.7, 2.09, 0.72),
)  # fmt: skip


def said(**changes: object) -> str:
    return "\n".join(sentences(replace(TRAITS, **changes)))


def judged(ratio: LossRatio) -> str:
    return said(predictability=Predictability(60.0, ratio, LossRatio(NAN, NAN, NAN, 0)))


def test_each_sentence_has_its_number() -> None:
    for line in (
        "chat covers 14.0 days in steps of 1 minute, with 1,234 requests/s on average.",
        "It varies by 32% of its mean (standard deviation).",
        "It has no gaps.",
        "The time of day explains 61% of how its half hours differ within a day: most.",
        "The day of the week explains 5.0% of what the time of day leaves: next to nothing.",
        "Demand rises by 20% of its mean per week, seen over 28 days (chance 0.0001 without a ",
        "From step to step it varies 53.7 times as much as independent requests would",
        "One step in a hundred exceeds 2.09 times the median.",
        "Its correlation with itself an hour before is 0.72.",
    ):
        assert line in said()


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        pytest.param(
            LossRatio(0.9, 0.8, 1.01, 24), "cannot be predicted better than by", id="noise"
        ),
        pytest.param(LossRatio(0.8, 0.7, 0.99, 24), "forecasts lose 20% less than", id="better"),
        pytest.param(LossRatio(1.2, 1.1, 1.30, 24), "forecasts are worse than", id="worse"),
        pytest.param(
            LossRatio(0.8, NAN, NAN, 4),
            "(too few apart to say how surely, at 4 origins)",
            id="no interval",
        ),
        pytest.param(LossRatio(NAN, NAN, NAN, 0), "could not be compared with", id="unknown"),
    ],
)
def test_predictability_says_no_more_than_the_interval(ratio: LossRatio, words: str) -> None:
    line = next(line for line in judged(ratio).splitlines() if "repeating the day before" in line)

    assert line.startswith("Over the next 1 hour ")
    assert words in line


def test_what_cannot_be_told_is_said_to_be_so() -> None:
    text = said(seasonality=Seasonality(NAN, NAN))

    assert "Whether days resemble each other cannot be told yet" in text
    assert "Whether weeks resemble each other cannot be told yet" in text
    assert "How predictable it is cannot be told" in text


def test_a_trend_that_may_be_chance_is_not_claimed() -> None:
    text = said(trend=Trend(0.2, 0.05, 28))

    assert "No trend can be told" in text
    assert "rises" not in text


def test_nothing_unknown_is_printed_as_a_number() -> None:
    text = said(
        mean=NAN, variation=NAN, zeros=NAN, gaps=Gaps(1.0, 90.0), trend=None,
        seasonality=Seasonality(NAN, NAN), burstiness=Burstiness(NAN, NAN, NAN),
    )  # fmt: skip

    assert "nan" not in text
    assert "nothing is known of its demand" in text
    assert "Unknown is 100% of it; the longest gap lasts 1.5 hours." in text


def test_of_many_findings_of_a_kind_the_latest_are_told() -> None:
    found = tuple(
        Finding(Kind.READS_ZERO, at, at + 1, 0.0, f"Reads 0 at {at}.") for at in range(5)
    )

    text = said(findings=(*found, Finding(Kind.SHIFT, 9, 10, 2.0, "Shifts at 9.")))

    assert "Found 5 times (reads zero); the latest 3 follow." in text
    assert [f"Reads 0 at {at}." in text for at in range(5)] == [False, False, True, True, True]
    assert "Shifts at 9." in text


def test_a_large_tenant_is_worth_a_forecast_of_its_own() -> None:
    large = Concentration(12, "acme", 0.52, 3.0)

    assert "acme, asks 52%: it is worth a forecast of its own." in said(tenants=large)
    assert "worth" not in said(tenants=replace(large, share=np.nextafter(1 / 3, 0)))
