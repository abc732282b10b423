"""What was learnt of forecasts outlives a restart, or is begun anew and said to be."""

from dataclasses import replace

import pytest

from forecaster.live.memory import MemoryFileError, load, save
from forecaster.live.tracking import begin_tracking, coverage, losses
from forecaster.live.trust import Trust


def test_what_is_saved_is_loaded(tmp_path, world):
    tracking = world.told(world.tracking(), [0.5, 5.0, 20.0, 9.5])
    trust = Trust(doubted=True, since=world.start)
    save(tmp_path / "f.json", tracking, trust)

    again, trusted = load(tmp_path / "f.json", world.tracking())

    assert coverage(again) == coverage(tracking)
    assert losses(again) == losses(tracking)
    assert trusted == trust
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]


def test_without_a_file_nothing_is_known(tmp_path, world):
    assert load(tmp_path / "f.json", world.tracking()) == (world.tracking(), Trust())


@pytest.mark.parametrize(
    "changes",
    [{"step": 20.0}, {"quantiles": (0.1, 0.5)}, {"block_seconds": 7.0}],
    ids=lambda changes: next(iter(changes)),
)
def test_counts_of_another_grid_mean_nothing(tmp_path, world, changes):
    save(tmp_path / "f.json", world.told(world.tracking(), [5.0]), Trust(doubted=True))
    fresh = replace(world.tracking(), **changes)

    assert load(tmp_path / "f.json", fresh) == (fresh, Trust())


def test_a_horizon_that_was_not_tracked_begins_anew(tmp_path, world):
    save(tmp_path / "f.json", world.told(world.tracking(horizon_steps=1), [5.0]), Trust())
    fresh = begin_tracking(step=10.0, season_steps=240, horizon_steps=3, quantiles=world.quantiles)

    again, _ = load(tmp_path / "f.json", fresh)

    assert [len(track.blocks) for track in again.tracks] == [1, 0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        "null",
        pytest.param('{{"tracks": {{"1": [[0, [1, 2], 0.5]]}}, {rest}}}', id="counts are missing"),
        pytest.param('{{"tracks": {{"1": 5}}, {rest}}}', id="no rows"),
        pytest.param('{{"tracks": [], {rest}}}', id="no horizons"),
    ],
)
def test_a_file_that_is_none_of_ours_is_named(tmp_path, world, text):
    path = tmp_path / "f.json"
    rest = (
        '"version": 1, "step": 10.0, "block_seconds": 100.0, "quantiles": [0.1, 0.5, 0.9, 0.99], '
        '"doubted": false, "since": null'
    )
    path.write_text(text.format(rest=rest) if "{{" in text else text)

    with pytest.raises(MemoryFileError, match=r"f\.json"):
        load(path, world.tracking())


def test_a_folder_that_is_gone_is_an_error_that_names_the_file(tmp_path, world):
    with pytest.raises(MemoryFileError, match="cannot write"):
        save(tmp_path / "gone" / "f.json", world.tracking(), Trust())
