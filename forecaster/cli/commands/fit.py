"""`fit`: every member fitted and weighed, tested at past origins, and the card of it all."""

from pathlib import Path

from forecaster.cli.asked import Asked
from forecaster.cli.digits import json_number
from forecaster.cli.forecasting import blind_maker, forecast_of, members_of
from forecaster.cli.loading import load_siblings, prepared
from forecaster.cli.output.json_text import json_text
from forecaster.cli.output.result import Records, Result
from forecaster.cli.output.terminal import Page
from forecaster.cli.progress import OnProgress
from forecaster.cli.settings import settings_of
from forecaster.demand.demand import Demand
from forecaster.describing.card import ModelCard, make_card
from forecaster.describing.card_file import as_markdown
from forecaster.describing.describe import describe


def fit(asked: Asked, demand: Demand, on_progress: OnProgress) -> Result:
    """Fit to the demand and gather what came of it."""
    settings = settings_of(asked, demand)
    known = prepared(asked, demand, season=settings.season_steps)
    siblings = load_siblings(asked, demand)
    outcome = forecast_of(asked, known, settings, siblings)
    description = describe(
        demand,
        settings,
        make=blind_maker(asked, members_of(asked), siblings),
        origins=asked.origins,
        seed=asked.seed,
        mend=asked.source.mend,
        on_progress=on_progress,
    )
    card = make_card(
        known,
        settings,
        outcome,
        now=asked.now,
        tested=description.tested,
        description=description.sentences,
    )
    document, page = card.as_json(), as_markdown(card)
    files = {} if asked.card is None else {asked.card: _written(asked.card, document, page)}
    return Result([Page(page)], document, _records(card), files)


def _written(path: Path, document: dict[str, object], page: str) -> bytes:
    return (json_text(document) if path.suffix.lower() == ".json" else page).encode()


def _records(card: ModelCard) -> Records:
    return Records(
        {
            "member": [member.name for member in card.members],
            "weight": [json_number(member.weight) for member in card.members],
            "loss": [json_number(member.loss) for member in card.members],
        }
    )
