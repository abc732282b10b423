import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.labels import OTHER, CappedLabels


def test_the_first_values_keep_their_names_and_the_rest_are_other():
    label = CappedLabels(2)

    assert [label(one) for one in ("a", "b", "c", "a", "b", "d")] == [
        "a", "b", OTHER, "a", "b", OTHER,
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["x" * 129, "\ud800"], ids=["long", "half a surrogate pair"])
def test_what_a_page_cannot_show_is_other_and_takes_no_place(value):
    label = CappedLabels(1)

    assert label(value) == OTHER
    assert label("a") == "a"


def test_one_that_calls_itself_other_takes_no_place():
    label = CappedLabels(1)

    assert label(OTHER) == OTHER
    assert label("a") == "a"


def test_less_than_none_is_refused():
    with pytest.raises(ValueError, match="expected a number of values"):
        CappedLabels(-1)


@given(st.lists(st.text(st.characters() | st.sampled_from("\ud800ab"))), st.integers(0, 5))
def test_there_are_never_more_labels_than_allowed_and_none_ever_changes(values, most):
    label = CappedLabels(most)
    first = [label(value) for value in values]

    assert len(set(first) - {OTHER}) <= most
    assert [label(value) for value in values] == first
    assert all(told in (value, OTHER) for told, value in zip(first, values, strict=True))
    "".join(first).encode()
