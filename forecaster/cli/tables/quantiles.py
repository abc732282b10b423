"""The table of a forecast: quantiles of demand at a few steps ahead."""

from zoneinfo import ZoneInfo

from rich.console import Group

from forecaster.cli.clock_face import clock
from forecaster.cli.digits import amount, decimals_of, level
from forecaster.cli.horizons import shown_steps
from forecaster.cli.output.terminal import table, titled
from forecaster.forecast import Forecast, Highest
from forecaster.moments import moment, spoken

SHOWN = (0.05, 0.5, 0.9, 0.95, 0.99)  # levels that a table has where none are asked


def quantile_table(
    forecast: Forecast, name: str, zone: ZoneInfo, levels: tuple[float, ...] = SHOWN
) -> Group:
    """Return a row for each step that is shown and a column for each level."""
    steps = shown_steps(forecast.steps)
    columns = [forecast.at_quantile(quantile) for quantile in levels]
    decimals = decimals_of(column[step - 1] for column in columns for step in steps)
    made = table([*ahead_columns(forecast, zone), *(level(quantile) for quantile in levels)])
    for step in steps:
        made.add_row(
            *ahead_cells(forecast, step, zone),
            *(amount(float(column[step - 1]), decimals) for column in columns),
        )
    return titled(
        f"Demand of {name} after {moment(forecast.origin, zone)}, {forecast.unit}",
        made,
        _left_out(forecast, len(steps)),
    )


def highest_table(highest: Highest, forecast: Forecast, name: str, zone: ZoneInfo) -> Group:
    """Return the quantiles of the highest rate between two moments."""
    decimals = decimals_of(highest.values.tolist())
    made = table(["probability", "stays below"])
    for quantile, value in zip(highest.quantiles, highest.values.tolist(), strict=True):
        made.add_row(f"{quantile * 100:.6g}%", amount(value, decimals))
    lead, end = highest.begins - forecast.origin, highest.ends - forecast.origin
    return titled(
        f"Highest demand of {name} from {spoken(lead)} to {spoken(end)} after "
        f"{moment(forecast.origin, zone)}, {forecast.unit}",
        made,
    )


def ahead_columns(forecast: Forecast, zone: ZoneInfo) -> list[str]:
    """Return what the columns are called that say when a step ends."""
    return ["ahead"] if clock(forecast.origin, zone) is None else ["ahead", "at"]


def ahead_cells(forecast: Forecast, step: int, zone: ZoneInfo) -> list[str]:
    """Return when a step ends, from the origin and, where there is a date, by the clock."""
    ahead = step * forecast.step
    at = clock(forecast.origin + ahead, zone)
    return [spoken(ahead)] if at is None else [spoken(ahead), at]


def _left_out(forecast: Forecast, shown: int) -> str:
    left = forecast.steps - shown
    return f"{left:,} steps between are left out: --format csv has all." if left else ""
