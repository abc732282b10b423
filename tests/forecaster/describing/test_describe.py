import json
import os
from pathlib import Path

import numpy as np
import pytest

from forecaster.condition.condition import Kind, examine
from forecaster.demand.demand import Demand
from forecaster.describing.describe import describe
from forecaster.pipeline import ForecastSettings
from telemetry.series import Series, Window

STEP = 1800.0
DAY = 48
SETTINGS = ForecastSettings(STEP, DAY, 4, quantiles=(0.1, 0.5, 0.9))


def demand(rates: np.ndarray) -> Demand:
    return Demand("chat", Series({}, Window(STEP, STEP * rates.size, STEP), rates))


def daily(days: int = 8) -> np.ndarray:
    steps = np.arange(days * DAY)
    noise = np.random.default_rng(0).normal(0, 3, steps.size)
    return 100 + 60 * np.sin(2 * np.pi * steps / DAY) + noise


def test_a_demand_is_described_from_end_to_end() -> None:
    found = describe(demand(daily()), SETTINGS, origins=6, tenants={"acme": daily() / 2})

    assert found.traits.seasonality.daily > 0.9
    assert found.traits.tenants.has_large
    assert found.traits.predictability.over_last.high < 1
    assert any("forecasts lose" in line for line in found.sentences)
    json.dumps(found.as_json(), allow_nan=False)


def test_the_same_seed_gives_the_same_description() -> None:
    def told() -> tuple[str, ...]:
        return describe(demand(daily(5)), SETTINGS, origins=4, seed=7).sentences

    assert told() == told()


def test_zeros_that_are_a_failure_to_collect_are_gaps() -> None:
    rates = daily()
    rates[200:206] = 0.0

    found = describe(demand(rates), SETTINGS, origins=0)

    assert [one.kind for one in found.traits.findings if one.kind is Kind.READS_ZERO]
    assert found.traits.zeros == 0
    assert found.traits.gaps.share == pytest.approx(6 / rates.size)


def test_without_mending_nothing_is_ignored_and_all_is_told() -> None:
    rates = daily()
    rates[300:304] = 0.0
    seen: list[Demand] = []

    found = describe(demand(rates), SETTINGS, make=lambda one, _: seen.append(one), mend=False)

    assert seen
    assert all(one.ignored is None and not one.repairs for one in seen)
    assert found.traits.zeros == pytest.approx(4 / rates.size)
    assert Kind.READS_ZERO in {one.kind for one in found.traits.findings}


@pytest.mark.parametrize(
    "rates",
    [
        pytest.param(np.array([3.0]), id="one point"),
        pytest.param(np.full(30, np.nan), id="all gap"),
        pytest.param(np.zeros(200), id="all zero"),
        pytest.param(np.ones(10), id="ten points"),
    ],
)
def test_little_demand_is_described_as_far_as_it_goes(rates: np.ndarray) -> None:
    found = describe(demand(rates), SETTINGS, origins=4)

    assert not any("nan" in line for line in found.sentences)
    json.dumps(found.as_json(), allow_nan=False)


def test_past_forecasts_are_made_of_what_was_known_then() -> None:
    rates = daily()
    rates[300:304] = 0.0  # an outage, which only what came after tells from an end
    whole = demand(rates)

    def checked(seen: Demand, settings: ForecastSettings) -> None:
        then = examine(whole.part(0, seen.size), season=DAY)
        ignored = np.zeros(seen.size, np.bool_) if seen.ignored is None else seen.ignored
        np.testing.assert_array_equal(ignored, then.ignored)
        np.testing.assert_array_equal(seen.rate.values, rates[: seen.size])

    assert describe(whole, SETTINGS, make=checked, origins=40).tested.declined > 30


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []

    describe(
        demand(daily(4)), SETTINGS, origins=2, on_progress=lambda done, of: told.append((done, of))
    )

    assert told == [(1, 2), (2, 2)]


@pytest.mark.skipif("WARMFRONT_DATA" not in os.environ, reason="WARMFRONT_DATA names no data")
def test_a_real_demand_is_described() -> None:
    file = Path(os.environ["WARMFRONT_DATA"]) / "win10_servegen_m-mid.csv.gz"
    counts = np.genfromtxt(file, delimiter=",", skip_header=1, usecols=2)
    window = Window(600.0, 600.0 * counts.size, 600.0)
    fleet = Demand("m-mid", Series({}, window, counts / 600.0))

    found = describe(fleet, ForecastSettings(600.0, 144, 6), origins=12)

    assert found.traits.seasonality.daily < 0.1
    assert found.traits.predictability.over_yesterday.high < 1
