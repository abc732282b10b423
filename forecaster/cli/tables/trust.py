"""Sentences on how far a forecast can be trusted, and on what was mended for it."""

from collections.abc import Iterator

from rich.text import Text

from forecaster.cli.digits import level, share
from forecaster.demand.demand import Demand
from forecaster.doubts import REASONS
from forecaster.forecast import Forecast

_TOLD = (0.5, 0.9, 0.99)


def trust(forecast: Forecast, demand: Demand) -> Text:
    """Return what to know before acting on the forecast, a sentence to a line."""
    text = Text("\n").join([*_calibration(forecast), *_doubts(forecast), *_repairs(demand)])
    text.rstrip()
    return text


def _calibration(forecast: Forecast) -> Iterator[Text]:
    known = forecast.calibration
    if known is None:
        yield Text(f"The quantiles rest on {forecast.residuals:,} past errors.")
        return
    shares = ", ".join(
        f"{share(known.coverage[quantile], 1)} at or below {level(quantile)}"
        for quantile in _TOLD
        if quantile in known.coverage
    )
    yield Text(f"Fitted to {known.errors:,} recent outcomes, of which {shares}.")


def _doubts(forecast: Forecast) -> Iterator[Text]:
    if forecast.doubts:
        reasons = "; ".join(REASONS[doubt] for doubt in forecast.doubts)
        yield Text(f"Not good enough to scale down on: {reasons}.", style="yellow")


def _repairs(demand: Demand) -> Iterator[Text]:
    for sentence in demand.repairs:
        yield Text(sentence, style="dim")
