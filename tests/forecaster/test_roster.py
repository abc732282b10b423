"""Which models there are."""

import pytest

from forecaster import roster
from forecaster.models.extras import ModelError


def test_every_name_is_there_once() -> None:
    names = [model.name for model in roster.every()]

    assert len(set(names)) == len(names)


def test_the_cheap_ones_are_among_all() -> None:
    assert {m.name for m in roster.cheap()} <= {m.name for m in roster.every()}


def test_models_are_found_by_name_in_the_order_asked() -> None:
    found = roster.named(["seasonal naive", "last value"])

    assert [model.name for model in found] == ["seasonal naive", "last value"]


def test_an_unknown_name_is_answered_by_what_there_is() -> None:
    with pytest.raises(ModelError, match="no model 'lstm'; there are: last value, "):
        roster.named(["lstm"])
