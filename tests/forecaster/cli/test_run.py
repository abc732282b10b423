"""The actions from the words of a person to what is written, on a small trace."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pyarrow.parquet
import pytest

Run = Callable[..., tuple[int, str, str]]

DAY = ("--season", "1h", "--horizon", "4")  # of the made-up trace
QUICK = (*DAY, "--members", "last value,mean of 5 min,seasonal naive")
NUMBER = {"type": "number"}
NUMBERS = {"type": "array", "items": NUMBER}
FORECAST = {
    "type": "object",
    "required": ["name", "origin", "step", "unit", "model", "quantiles", "values", "members"],
    "properties": {
        "origin": NUMBER,
        "step": NUMBER,
        "quantiles": NUMBERS,
        "values": {"type": "array", "items": NUMBERS},
        "members": {
            "type": "array",
            "items": {"type": "object", "required": ["name", "weight", "loss"]},
        },
        "highest": {"type": "object", "required": ["begins", "ends", "quantiles", "values"]},
        "paths": {"type": "object", "required": ["rate"]},
    },
}


def answer(run: Run, *words: object) -> str:
    status, out, errors = run(*words)
    assert (status, errors) == (0, "")
    return out


def document(run: Run, *words: object) -> dict[str, object]:
    found: dict[str, object] = json.loads(answer(run, *words, "--json"))
    return found


def test_a_forecast_for_machines_has_quantiles_members_and_what_was_mended(
    run: Run, trace: Path
) -> None:
    found = document(run, trace, *QUICK)

    jsonschema.validate(found, FORECAST)
    assert (found["name"], found["step"], found["unit"]) == ("demand.csv", 60.0, "requests/s")
    assert len(found["values"]) == 4  # type: ignore[arg-type]


def test_the_old_words_go_on_meaning_seconds_and_steps(run: Run, trace: Path) -> None:
    old = document(run, trace, "--step", "60", "--season", "3600", "--horizon", "4")

    assert old == document(
        run, "predict", trace, "--step", "1m", "--season", "1h", "--horizon", "4m"
    )


def test_levels_a_window_and_scenarios_are_answered_as_asked(run: Run, trace: Path) -> None:
    found = document(
        run, trace, *QUICK, "--quantiles", "p50,p99", "--lead", "60", "--window", "3m",
        "--paths", "7",
    )  # fmt: skip

    jsonschema.validate(found, FORECAST)
    assert found["quantiles"] == [0.5, 0.99]
    assert found["highest"]["ends"] - found["highest"]["begins"] == 180  # type: ignore[index]
    assert len(found["paths"]["rate"]) == 7  # type: ignore[index]


@pytest.mark.parametrize(
    ("words", "columns", "rows"),
    [
        pytest.param(("--quantiles", "p50"), "time,seconds_ahead,p50", 4, id="quantiles"),
        pytest.param(("--lead", "1m", "--quantiles", "p50"), "begins,ends,quantile,highest", 1,
                     id="the highest"),
        pytest.param(("--paths", "3"), "path,time,seconds_ahead,rate", 12, id="scenarios"),
    ],
)  # fmt: skip
def test_csv_and_parquet_hold_the_same_rows(
    run: Run, trace: Path, words: tuple[str, ...], columns: str, rows: int
) -> None:
    text, table = trace.with_name("out.csv"), trace.with_name("out.parquet")
    for path in (text, table):
        assert answer(run, trace, *QUICK, *words, "--output", path) == ""

    read = pyarrow.parquet.read_table(table)
    lines = text.read_text().splitlines()
    assert lines[0] == columns == ",".join(read.column_names)
    assert len(lines) - 1 == read.num_rows == rows
    first = [str(cells[0]) for cells in read.to_pydict().values()]
    assert lines[1].split(",") == first


def test_the_highest_is_the_same_whichever_levels_are_asked_for(run: Run, trace: Path) -> None:
    words = (run, trace, *QUICK, "--lead", "1m", "--window", "3m")
    whole, alone = (document(*words, *more)["highest"] for more in ((), ("--quantiles", "p99")))
    place = whole["quantiles"].index(0.99)  # type: ignore[index]

    assert alone["values"] == whole["values"][place : place + 1]  # type: ignore[index]
    assert f"{alone['values'][0]:.1f}" in answer(*words)  # type: ignore[index]


@pytest.mark.parametrize("paths", [1, 7])
def test_the_highest_is_the_same_however_few_scenarios_are_asked_for(
    run: Run, trace: Path, paths: int
) -> None:
    words = (run, trace, *QUICK, "--lead", "1m", "--window", "3m")

    assert document(*words, "--paths", paths)["highest"] == document(*words)["highest"]


def test_the_same_seed_draws_the_same_scenarios(run: Run, trace: Path) -> None:
    def paths(seed: int) -> object:
        return document(run, trace, *QUICK, "--paths", "5", "--seed", seed)["paths"]

    assert paths(1) == paths(1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("predict",), ("Demand of demand.csv", "p99", "Made of", "outcomes"),
                     id="predict"),
        pytest.param(("predict", "--lead", "1m"), ("Highest demand", "stays below"), id="highest"),
        pytest.param(("predict", "--paths", "3"), ("Scenarios of", "#3"), id="scenarios"),
        pytest.param(("backtest", "--origins", "4"), ("naive", "wQL", "A pool of 20 replicas"),
                     id="backtest"),
        pytest.param(("compare", "--origins", "4"),
                     ("combination", "last value", "HPA-like", "within noise", "hindsight"),
                     id="compare"),
        pytest.param(("fit", "--origins", "4"), ("# Model card: demand.csv", "## Limits"),
                     id="fit"),
        pytest.param(("describe", "--origins", "4"), ("demand.csv covers", "requests/s"),
                     id="describe"),
    ],
)  # fmt: skip
def test_every_action_answers_people_and_machines(
    run: Run, trace: Path, words: tuple[str, ...], said: tuple[str, ...]
) -> None:
    action, *options = words
    shown = answer(run, action, trace, *QUICK, *options)

    for part in said:
        assert part in shown
    assert document(run, action, trace, *QUICK, *options)
    assert len(answer(run, action, trace, *QUICK, *options, "--format", "csv").splitlines()) > 1


@pytest.mark.parametrize("action", ["fit", "describe"])
def test_what_is_not_to_be_mended_is_taken_for_what_it_seems(
    run: Run, trace: Path, action: str
) -> None:
    lines = trace.read_text().splitlines()
    lines[401:405] = [f"{minute},0" for minute in range(400, 404)]
    trace.write_text("\n".join(lines) + "\n")
    words = (run, action, trace, *QUICK, "--origins", "20")

    mended, plain = answer(*words), answer(*words, "--no-mend")

    assert mended != plain


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("predict",), id="predict"),
        pytest.param(("fit", "--origins", "2"), id="fit"),
        pytest.param(("backtest", "--origins", "2"), id="backtest"),
    ],
)
def test_a_sibling_has_a_say_while_the_history_is_short(
    run: Run, trace: Path, words: tuple[str, ...]
) -> None:
    short = trace.with_name("short.csv")
    short.write_text("".join(trace.read_text().splitlines(keepends=True)[:40]))
    action, *options = words
    alone, helped = (
        document(run, action, short, *QUICK, *options, *more)
        for more in ((), ("--sibling", trace))
    )

    assert alone != helped


@pytest.mark.parametrize("action", ["predict", "fit", "backtest", "compare"])
def test_a_sibling_that_cannot_be_read_is_named(run: Run, trace: Path, action: str) -> None:
    status, out, errors = run(action, trace, *QUICK, "--sibling", "nowhere.csv")

    assert (status, out) == (1, "")
    assert "nowhere.csv" in errors


def test_a_card_is_written_as_its_ending_says(run: Run, trace: Path, tmp_path: Path) -> None:
    for name in ("card.json", "card.md"):
        answer(run, "fit", trace, *QUICK, "--origins", "0", "--card", tmp_path / name)

    assert json.loads((tmp_path / "card.json").read_text())["name"] == "demand.csv"
    assert (tmp_path / "card.md").read_text().startswith("# Model card: demand.csv\n")


def test_a_comparison_is_paired_and_tells_its_noise(run: Run, trace: Path) -> None:
    rows = document(run, "compare", trace, *QUICK, "--origins", "4")["rows"]
    by_name = {row["name"]: row for row in rows}  # type: ignore[attr-defined]

    assert by_name["combination"]["over_combination"] is None
    other = by_name["seasonal naive"]
    assert other["over_combination_low"] <= other["over_combination"]
    assert other["over_combination"] <= other["over_combination_high"]
    assert by_name["HPA-like, 5-min mean / 0.7"]["over_daily_naive"] is None


@pytest.mark.parametrize("action", ["predict", "fit", "backtest", "compare", "describe", "plot"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="a folder"),
        pytest.param(b"", id="an empty file"),
        pytest.param(bytes(range(256)) * 4, id="no text"),
        pytest.param(b"minute,requests\n0,1\n1,-3\n2,4\n", id="a negative number"),
        pytest.param(b"minute,requests\n", id="a header alone"),
        pytest.param(b"\xff\xfe\x00", id="another encoding"),
    ],
)
def test_bad_input_is_one_line_for_people(
    run: Run, tmp_path: Path, action: str, content: bytes | None
) -> None:
    path = tmp_path / "bad.csv"
    path.mkdir() if content is None else path.write_bytes(content)
    more = ("--output", tmp_path / "x.html") if action == "plot" else ()
    status, out, errors = run(action, path, *more)

    assert (status, out) == (1, "")
    assert errors.startswith("forecast: ")
    assert "bad.csv" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(
            "".join(f"{m},\n" for m in range(200)), "too little demand", id="all missing"
        ),
        pytest.param("0,1\n1,2\n", "too little demand", id="too short"),
    ],
)
def test_demand_that_cannot_be_forecast_is_refused(
    run: Run, tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "few.csv"
    path.write_text(f"minute,requests\n{content}")
    status, out, errors = run(path)

    assert (status, out) == (1, "")
    assert said in errors


def test_a_file_that_was_cut_off_is_refused(run: Run, trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(trace.read_bytes())[:-300])
    status, _, errors = run(path)

    assert status == 1
    assert errors.startswith("forecast: ")


@pytest.mark.parametrize("rate", [0, 7])
@pytest.mark.parametrize("action", ["predict", "backtest", "compare"])
def test_demand_that_never_changes_is_no_reason_to_fail_badly(
    run: Run, tmp_path: Path, rate: int, action: str
) -> None:
    path = tmp_path / "flat.csv"
    path.write_text("minute,requests\n" + "".join(f"{m},{rate}\n" for m in range(200)))
    more = ("--origins", "3") if action != "predict" else ()
    status, _, errors = run(action, path, *QUICK, *more, "--json")

    assert status == (1 if rate == 0 and action != "predict" else 0)
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("--season", "90s"), "whole number of steps", id="a season of part steps"),
        pytest.param(("--members", "oracle"), "no model 'oracle'", id="no such member"),
        pytest.param(("--calendar", "none.toml"), "none.toml", id="no calendar"),
        pytest.param(("--output", "no/folder/x.csv"), "cannot be written", id="no folder"),
    ],
)
def test_what_cannot_be_done_says_why(
    run: Run, trace: Path, words: tuple[str, ...], said: str
) -> None:
    status, out, errors = run(trace, *DAY, *words)

    assert (status, out) == (1, "")
    assert said in errors


def test_a_prometheus_that_does_not_answer_is_named(run: Run) -> None:
    status, _, errors = run("--prometheus", "http://127.0.0.1:1", "--query", "up")

    assert status == 1
    assert "127.0.0.1:1" in errors


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "forecaster", *map(str, words)]


def test_a_reader_who_had_enough_ends_it_quietly(trace: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command(trace, *QUICK), stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)

    assert (done.returncode, done.stderr) == (1, b"")


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    source = tmp_path / "endless.csv"
    os.mkfifo(source)
    with (
        subprocess.Popen(
            command(source), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as running,
        source.open("w"),
    ):  # opens as soon as the program reads it
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=30)

    assert (running.returncode, out, errors) == (130, b"", b"")


@pytest.mark.parametrize("name", ["x.html", "x.png", "x.svg"])
def test_a_plot_is_written_and_told(run: Run, trace: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    found = document(run, "plot", trace, *QUICK, "--origins", "4", "--output", path)

    assert found["bytes"] == path.stat().st_size
    assert found["outcomes"] == 16
    assert f"{path}: " in answer(run, "plot", trace, *QUICK, "--origins", "0", "--output", path)
