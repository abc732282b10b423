"""The record remembers, judges, and says once when trust turns."""

from structlog.testing import capture_logs

from forecaster.live.record import Record
from forecaster.live.tracking import coverage


def play(record, world, rates, *, start):
    for index, rate in enumerate(rates):
        origin = start + 10.0 * index
        record.judge(world.demand(origin, [rate]))
        record.remember(world.forecast(origin))


def test_a_lost_calibration_is_said_once_and_so_is_its_return(tmp_path, world):
    record = Record(world.tracking(), model="m", file=tmp_path / "f.json")
    with capture_logs() as logs:
        play(record, world, [20.0, 20.0, 5.0] * 80, start=world.start)
        was_doubted = record.is_doubted
        play(record, world, [5.0] * 200, start=world.start + 2400)

    assert was_doubted
    assert not record.is_doubted
    assert [(log["log_level"], log.get("quantile")) for log in logs] == [
        ("warning", 0.9),
        ("info", None),
    ]


def test_what_is_remembered_outlives_a_restart(tmp_path, world):
    before = Record(world.tracking(), model="m", file=tmp_path / "f.json")
    play(before, world, [20.0] * 100, start=world.start)
    again = Record(world.tracking(), model="m", file=tmp_path / "f.json")

    assert before.is_doubted
    assert again.is_doubted
    assert coverage(again.tracking) == coverage(before.tracking)


def test_a_broken_file_and_one_that_cannot_be_written_are_said_once(tmp_path, world):
    (tmp_path / "f.json").write_text("{")
    with capture_logs() as logs:
        Record(world.tracking(), model="m", file=tmp_path / "f.json")
        lost = Record(world.tracking(), model="m", file=tmp_path / "gone" / "f.json")
        play(lost, world, [5.0] * 5, start=world.start)

    assert [log["log_level"] for log in logs] == ["warning", "warning"]
    assert not lost.is_doubted
