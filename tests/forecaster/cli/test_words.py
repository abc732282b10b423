import argparse
from collections.abc import Callable

import pytest

from forecaster.cli import words


def test_levels_are_read_as_shares_or_by_their_names_rising_and_each_once() -> None:
    assert words.levels("p99, 0.5,p50") == (0.5, 0.99)
    assert words.levels("p97.5") == (0.975,)


def test_history_counts_days_where_it_has_no_unit() -> None:
    assert words.days("14") == 14 * 86_400
    assert words.days("12h") == 12 * 3600


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        pytest.param(words.levels, "90", "between 0 and 1", id="a percentage"),
        pytest.param(words.levels, "", "between 0 and 1", id="no level"),
        pytest.param(words.levels, "0.5,x", "between 0 and 1", id="no number"),
        pytest.param(words.levels, "0.9999999", "up to 6 decimals", id="a level rounded to 1"),
        pytest.param(words.levels, "0.0000001", "up to 6 decimals", id="a level rounded to 0"),
        pytest.param(words.names, " , ", "names with commas", id="no name"),
        pytest.param(words.count, "0", "from 1 on", id="no count"),
        pytest.param(words.amount_of, "-1", "from 0 on", id="below none"),
        pytest.param(words.amount_of, "1.5", "from 0 on", id="a fraction"),
        pytest.param(words.positive, "inf", "above 0", id="no end"),
        pytest.param(words.duration, "soon", "a duration", id="no duration"),
        pytest.param(words.zone, "Nowhere/City", "a time zone", id="no zone"),
        pytest.param(words.zone, "../etc/passwd", "a time zone", id="a path"),
        pytest.param(words.picture, "x.gif", ".png", id="an ending nobody draws"),
        pytest.param(words.card, "x.txt", ".json", id="an ending nobody writes"),
    ],
)
def test_a_word_that_cannot_be_meant_is_refused_with_what_was_expected(
    read: Callable[[str], object], text: str, expected: str
) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=expected):
        read(text)
