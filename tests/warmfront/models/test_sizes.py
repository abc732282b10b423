import pytest

from warmfront.models.sizes import bytes_for_people


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (3_939_656, "3.94 MB"), (999_600, "1 MB"),
     (1.5e10, "15 GB"), (7e15, "7e+03 TB")],
)  # fmt: skip
def test_sizes_have_three_digits(count: float, shown: str):
    assert bytes_for_people(count) == shown
