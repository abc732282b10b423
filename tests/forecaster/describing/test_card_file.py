import numpy as np

from forecaster.demand.demand import Demand
from forecaster.describing.card import make_card
from forecaster.describing.card_file import as_markdown
from forecaster.forecast import Forecast
from forecaster.pipeline import ForecastSettings, Member, Outcome
from forecaster.scoring.backtest import Backtest
from telemetry.series import Series, Window

SETTINGS = ForecastSettings(60.0, 1440, 3, quantiles=(0.5, 0.9))
ONES = np.ones((8, 3, 2))
CARD = make_card(
    Demand("chat", Series({}, Window(60.0, 600.0, 60.0), np.ones(10))),
    SETTINGS,
    Outcome(
        Forecast(600.0, 60.0, SETTINGS.quantiles, np.ones((3, 2)), "combination", 900),
        (Member("ma-15", 0.8, (0.8,) * 3, float("nan")),),
    ),
    now=1_800_000_000.0,
    tested=Backtest(
        np.arange(8), 60.0, (0.5, 0.9), ONES[..., 0], ONES, ONES * np.nan, ONES * 2, np.ones(8)
    ),
    of_version="1.2.3",
)


def test_the_page_tells_the_whole_card() -> None:
    page = as_markdown(CARD)

    assert page.startswith(
        "# Model card: chat\n\nMade 2027-01-15 08:00 UTC by warmfront 1.2.3.\n\n## Data\n"
    )
    assert "- 0 s from the start to 10 min from the start\n" in page  # a trace without a date
    assert "- 10 steps of 60 s, in requests/s\n" in page
    assert "| ma-15 | 80.0% | unknown |\n" in page
    assert "| 0-3 | 0 | 0 | unknown | 0 | 100.0% | 100.0% |\n" in page
    assert "nan" not in page
    assert "## Demand" not in page  # nothing was said of it
