"""What people read, letter by letter, from values made up by hand."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest
from rich.console import RenderableType

from forecaster.cli.output.terminal import plain_text
from forecaster.cli.tables.comparison import verdict
from forecaster.cli.tables.members import member_table
from forecaster.cli.tables.quantiles import highest_table, quantile_table
from forecaster.cli.tables.scenarios import scenario_table
from forecaster.cli.tables.trust import trust
from forecaster.demand.demand import Demand
from forecaster.forecast import Calibration, Doubt, Forecast
from forecaster.pipeline import Member
from forecaster.scenarios import Scenarios
from forecaster.scoring.bootstrap import LossRatio
from telemetry.series import Series, Window

UTC = ZoneInfo("UTC")
LEVELS = (0.05, 0.5, 0.9, 0.95, 0.99)


def forecast(origin: float = 3600.0, steps: int = 3, **changes: object) -> Forecast:
    rows = np.outer(np.linspace(1.0, 2.0, steps), [80.0, 100.0, 900.0, 1000.0, 1234.5])
    return Forecast(origin, 60.0, LEVELS, rows, "combination", 480, **changes)  # type: ignore[arg-type]


def drawn(part: RenderableType) -> str:
    return "\n".join(line.rstrip() for line in plain_text([part]).splitlines())


def test_a_forecast_reads_as_a_table() -> None:
    assert (
        drawn(quantile_table(forecast(), "chat.csv", UTC))
        == """\
Demand of chat.csv after 1 h from the start, requests/s

ahead    p5   p50     p90     p95     p99
─────────────────────────────────────────
1 min    80   100     900   1,000   1,234
2 min   120   150   1,350   1,500   1,852
3 min   160   200   1,800   2,000   2,469"""
    )


def test_a_forecast_with_a_date_has_the_time_of_day_where_it_is_read() -> None:
    table = drawn(
        quantile_table(forecast(1_800_000_000.0), "chat", ZoneInfo("Asia/Tokyo"), (0.5,))
    )

    assert (
        table
        == """\
Demand of chat after 2027-01-15 17:00 JST, requests/s

ahead          at   p50
───────────────────────
1 min   Fri 17:01   100
2 min   Fri 17:02   150
3 min   Fri 17:03   200"""
    )


def test_a_long_forecast_says_that_steps_are_left_out() -> None:
    table = drawn(quantile_table(forecast(steps=60), "chat", UTC))

    assert "50 steps between are left out: --format csv has all." in table
    assert len(table.splitlines()) == 15


def test_the_highest_of_a_window_is_a_column_of_levels() -> None:
    made = forecast()
    assert (
        drawn(highest_table(made.highest(lead=0.0, window=120.0), made, "chat", UTC))
        == """\
Highest demand of chat from 0 s to 2 min after 1 h from the start, requests/s

probability   stays below
─────────────────────────
         5%           120
        50%           150
        90%         1,350
        95%         1,500
        99%         1,852"""
    )


def test_scenarios_are_columns_and_those_without_room_are_counted() -> None:
    paths = Scenarios(np.arange(30.0).reshape(10, 3))
    table = drawn(scenario_table(forecast(), paths, 10, "chat", UTC))

    assert "ahead    #1    #2" in table
    assert "2 more, and all steps: --format csv." in table


def test_members_are_told_by_their_share_and_those_without_say_are_counted() -> None:
    members = [
        Member("mean of 5 min", 0.75, (0.8, 0.7), 0.123),
        Member("daily profile", 0.25, (0.2, 0.3), float("nan")),
        Member("last value", 0.0, (0.0, 0.0), 0.5),
    ]

    assert (
        drawn(member_table(members))
        == """\
Made of

member          share   to 5 min   to 15 min    loss
────────────────────────────────────────────────────
mean of 5 min     75%        80%         70%   0.123
daily profile     25%        20%         30%       -
Loss: pinball, on the root scale, at recent origins. 1 more had no say."""
    )


def test_doubts_and_repairs_are_sentences() -> None:
    demand = Demand("m", Series({}, Window(60.0, 120.0, 60.0), np.ones(2)), repairs=("Mended.",))
    made = forecast(
        calibration=Calibration({0.5: 0.48, 0.9: 0.91, 0.99: 0.994}, 1234),
        doubts=(Doubt.GAPS, Doubt.LATE),
    )

    assert trust(made, demand).plain == (
        "Fitted to 1,234 recent outcomes, of which 48.0% at or below p50, 91.0% at or below p90, "
        "99.4% at or below p99.\n"
        "Not good enough to scale down on: too much of the recent demand is unknown; "
        "the newest demand is not known yet.\n"
        "Mended."
    )


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        pytest.param(LossRatio(0.8, 0.7, 0.95, 9), "better", id="below one for sure"),
        pytest.param(LossRatio(0.8, 0.7, 1.05, 9), "within noise", id="may be above"),
        pytest.param(LossRatio(1.3, 1.01, 1.5, 9), "worse", id="above one for sure"),
        pytest.param(LossRatio(float("nan"), 0.0, 0.0, 0), "-", id="not known"),
    ],
)
def test_a_ratio_is_a_verdict_only_beyond_noise(ratio: LossRatio, said: str) -> None:
    assert verdict(ratio, "better", "worse").plain == said


def test_a_name_is_taken_for_what_it_is() -> None:
    assert "[red]x[/red] :car:" in drawn(quantile_table(forecast(), "[red]x[/red] :car:", UTC))
