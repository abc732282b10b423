import numpy as np

from forecaster.history import Floats, History
from forecaster.models.features import Features

SEASON = 24


def history_of(values: Floats) -> History:
    return History(values, step=300.0, season=SEASON, end=300.0 * (1000 + values.size))


def test_a_row_knows_nothing_from_after_its_origin() -> None:
    values = np.random.default_rng(1).normal(10, 1, 10 * SEASON)
    changed = values.copy()
    changed[201:] = 99.0
    origins, horizons = np.full(20, 200), np.arange(1, 21)

    before, after = (
        Features(history_of(v), 20).rows(origins, horizons) for v in (values, changed)
    )

    np.testing.assert_allclose(before, after)


def test_a_day_has_the_same_number_wherever_the_history_begins() -> None:
    whole = Features(history_of(np.ones(100)), 1)
    part = Features(History(np.ones(60), 300.0, SEASON, end=300.0 * 1100), 1)

    assert whole.day(np.array([99])) == part.day(np.array([59]))
    assert whole.day(np.array([40])) == part.day(np.array([0]))


def test_a_row_does_not_depend_on_the_level() -> None:
    values = np.random.default_rng(1).normal(10, 1, 10 * SEASON)
    origins, horizons = np.array([230, 235]), np.array([1, 4])

    low = Features(history_of(values), 4).rows(origins, horizons)
    high = Features(history_of(values + 50.0), 4).rows(origins, horizons)

    np.testing.assert_allclose(np.delete(high, 1, axis=1), np.delete(low, 1, axis=1), atol=1e-9)
