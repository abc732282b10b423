from pathlib import Path

import pytest

from inference.runtimes.plan_cache import PlanCache, cache_key

KEY = cache_key("tensorrt", "11.4", "SM89", b"graph")
PLAN = b"an engine" * 1000


def test_what_was_written_is_read_back_by_another(tmp_path: Path):
    PlanCache(tmp_path / "new").write(KEY, PLAN)

    assert PlanCache(tmp_path / "new").read(KEY) == PLAN
    assert [file.name for file in (tmp_path / "new").iterdir()] == [f"{KEY}.plan"]


def test_keys_differ_by_every_part_and_by_where_parts_end():
    keys = {cache_key("a", "bc"), cache_key("ab", "c"), cache_key("abc"), cache_key("a", "bd")}

    assert len(keys) == 4


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda data: data[:-1], id="cut short"),
        pytest.param(lambda data: data[:-1] + b"?", id="a bit flipped"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"ftrt" + data, id="of another program"),
    ],
)
def test_a_damaged_plan_counts_as_absent(tmp_path: Path, spoil):
    cache = PlanCache(tmp_path)
    cache.write(KEY, PLAN)
    path = tmp_path / f"{KEY}.plan"
    path.write_bytes(spoil(path.read_bytes()))

    assert cache.read(KEY) is None


def test_a_plan_under_another_name_counts_as_absent(tmp_path: Path):
    cache = PlanCache(tmp_path)
    cache.write(KEY, PLAN)
    (tmp_path / f"{KEY}.plan").rename(tmp_path / "other.plan")

    assert cache.read("other") is None


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    cache = PlanCache(tmp_path / "file")
    cache.write(KEY, PLAN)

    assert cache.read(KEY) is None


def test_a_dropped_plan_is_gone_and_dropping_twice_is_fine(tmp_path: Path):
    cache = PlanCache(tmp_path)
    cache.write(KEY, PLAN)
    cache.drop(KEY)
    cache.drop(KEY)

    assert cache.read(KEY) is None


def test_without_a_folder_nothing_is_kept():
    cache = PlanCache(None)
    cache.write(KEY, PLAN)
    cache.drop(KEY)

    assert cache.read(KEY) is None
