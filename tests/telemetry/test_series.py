import numpy as np
import pytest

from telemetry.series import Selector, Series, Window, total

NAN = float("nan")


def test_a_window_holds_both_of_its_ends():
    window = Window(60, 180, 60)

    assert window.size == 3
    assert window.times.tolist() == [60, 120, 180]


@pytest.mark.parametrize(
    ("end", "size"),
    [
        pytest.param(0.0, 1, id="one point"),
        pytest.param(0.9, 10, id="a step that binary fractions miss"),
        pytest.param(0.95, 10, id="an end between points"),
    ],
)
def test_the_size_of_a_window_forgives_rounding(end, size):
    assert Window(0.0, end, 0.1).size == size


@pytest.mark.parametrize(
    ("start", "end", "step"),
    [
        pytest.param(0, 10, 0, id="no step"),
        pytest.param(0, 10, -1, id="a step back"),
        pytest.param(10, 0, 1, id="ends before it starts"),
    ],
)
def test_a_window_that_is_none_is_refused(start, end, step):
    with pytest.raises(ValueError, match="expected step > 0 and end >= start"):
        Window(start, end, step)


@pytest.mark.parametrize(
    ("now", "last"),
    [
        pytest.param(120.0, 120, id="on a step"),
        pytest.param(179.9, 120, id="just before a step"),
        pytest.param(180.0, 180, id="the next step"),
    ],
)
def test_ending_is_the_latest_multiple_of_the_step(now, last):
    assert Window.ending(now, step=60, points=3) == Window(last - 120, last, 60)


def test_fractions_of_a_second_are_met_however_late_in_the_epoch():
    assert Window(1_700_000_000.1, 1_700_000_000.9, 0.1).size == 9
    assert Window.ending(1_700_000_000.3, step=0.1, points=2).end == pytest.approx(1_700_000_000.3)


def test_a_selector_asks_only_for_the_labels_it_names():
    selector = Selector("m", {"model": "a"})

    assert selector.matches({"model": "a", "zone": "x"})
    assert not selector.matches({"model": "b"})
    assert not selector.matches({})


def test_a_series_has_as_many_values_as_its_window():
    with pytest.raises(ValueError, match="expected 3 values on the grid"):
        Series({}, Window(0, 2, 1), np.zeros(2))


def test_a_series_of_gaps_has_no_data():
    window = Window(0, 2, 1)

    assert not Series({}, window, np.full(3, NAN)).has_data
    assert Series({}, window, np.array([NAN, 0.0, NAN])).has_data


def test_infinity_is_a_value_and_no_gap():
    window = Window(0, 1, 1)
    endless = Series({}, window, np.array([np.inf, NAN]))

    assert endless.has_data
    np.testing.assert_array_equal(total([endless, endless], window).values, [np.inf, NAN])


def test_a_total_is_a_gap_only_where_every_series_is():
    window = Window(0, 2, 1)
    one = Series({"r": "1"}, window, np.array([1.0, NAN, NAN]))
    two = Series({"r": "2"}, window, np.array([2.0, 3.0, NAN]))

    summed = total([one, two], window)

    np.testing.assert_array_equal(summed.values, [3.0, 3.0, NAN])
    assert summed.labels == {}


def test_the_total_of_nothing_is_a_gap_not_zero():
    assert not total([], Window(0, 2, 1)).has_data
