import pytest

from forecaster.models.extras import ModelError, installed, require


def test_what_is_missing_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(ModelError, match=r"'trees' needs no_such_package.*pip install 'x\[y\]'"):
        require(("numpy", "no_such_package"), model="trees", install="x[y]")


def test_what_is_there_is_no_reason_to_complain() -> None:
    require(("numpy",), model="any", install="numpy")

    assert installed(("numpy",))
    assert not installed(("numpy", "no_such_package"))
