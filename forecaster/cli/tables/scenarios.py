"""The table of scenarios: some of the paths that demand may take."""

from zoneinfo import ZoneInfo

from rich.console import Group

from forecaster.cli.digits import amount, decimals_of
from forecaster.cli.horizons import shown_steps
from forecaster.cli.output.terminal import table, titled
from forecaster.cli.tables.quantiles import ahead_cells, ahead_columns
from forecaster.forecast import Forecast
from forecaster.scenarios import Scenarios

_PATHS = 8


def scenario_table(
    forecast: Forecast, scenarios: Scenarios, count: int, name: str, zone: ZoneInfo
) -> Group:
    """Return a column for each path that is shown."""
    paths = scenarios.rate[: min(count, _PATHS)]
    decimals = decimals_of(paths.ravel().tolist())
    made = table([*ahead_columns(forecast, zone), *(f"#{at + 1}" for at in range(len(paths)))])
    for step in shown_steps(forecast.steps):
        made.add_row(
            *ahead_cells(forecast, step, zone),
            *(amount(float(path[step - 1]), decimals) for path in paths),
        )
    left = count - paths.shape[0]
    return titled(
        f"Scenarios of {name}, {forecast.unit}",
        made,
        f"{left:,} more, and all steps: --format csv." if left > 0 else "",
    )
