import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from forecaster.demand.demand import DemandError
from forecaster.demand.request_log import read_request_log

T0 = 1_738_324_800  # 2025-01-31T12:00:00Z


def write(folder: Path, *entries: object) -> Path:
    path = folder / "requests.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


@pytest.mark.parametrize(
    ("name", "times"),
    [
        pytest.param("time", ["2025-01-31T12:00:00Z", "2025-01-31T12:00:20Z"], id="moments"),
        pytest.param("timestamp", [T0, T0 + 20.0], id="seconds"),
        pytest.param("ts", [T0 * 1000, T0 * 1000 + 20_000], id="milliseconds"),
    ],
)
def test_each_name_of_the_time_is_read(tmp_path: Path, name: str, times: list[object]) -> None:
    demand = read_request_log(write(tmp_path, *({name: at} for at in times))).demand(10)

    assert demand.rate.values.tolist() == [0.1, 0.0]
    assert demand.window.start == T0 + 10
    assert demand.input_tokens is None


@pytest.mark.parametrize(
    "size",
    [
        pytest.param({"input_tokens": 30, "output_tokens": 7}, id="ours"),
        pytest.param({"prompt_tokens": 30, "completion_tokens": 7}, id="the API's"),
        pytest.param({"usage": {"prompt_tokens": 30, "completion_tokens": 7}}, id="an answer's"),
        pytest.param(
            {"gen_ai.usage.input_tokens": 30, "gen_ai.usage.output_tokens": 7},
            id="OpenTelemetry's",
        ),
    ],
)
def test_each_name_of_the_tokens_is_read(tmp_path: Path, size: dict[str, object]) -> None:
    entries = ({"arrival_s": at, **size} for at in (0, 5, 10))
    demand = read_request_log(write(tmp_path, *entries)).demand(10)

    assert demand.input_tokens.values.tolist() == [6.0]
    assert demand.output_tokens.values.tolist() == [1.4]


@pytest.mark.parametrize("name", ["class", "priority"])
def test_entries_are_chosen_by_model_region_and_class(tmp_path: Path, name: str) -> None:
    entries = [
        {"arrival_s": 0, "model": "a", "region": "eu", name: "low"},
        {"arrival_s": 1, "model": "a", "region": "us", name: "low", "status": 503},
        {"arrival_s": 30, "model": "b"},
    ]
    path = write(tmp_path, *entries)

    def rates(**labels: str) -> list[float]:
        return read_request_log(path, step=10, labels=labels).demand().rate.values.tolist()

    assert rates() == [0.2, 0, 0]
    assert rates(model="a", region="us", priority="low") == [0.1, 0, 0]
    with pytest.raises(DemandError, match="no row with model=c"):
        rates(model="c")


def test_compressed_logs_and_blank_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"arrival_s": 0}\n\n{"arrival_s": 10}\n'))

    assert read_request_log(path).demand(10).rate.values.tolist() == [0.1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "at least one entry", id="empty"),
        pytest.param('{"model": "a"}', r":1: expected one of arrival_s.*model", id="no time"),
        pytest.param('{"ts": 1738324800}\n{"ts":', r":2: expected one JSON object", id="cut off"),
        pytest.param("[1]", r":1: expected one JSON object, got list", id="no object"),
        pytest.param(
            '{"ts": 1738324800}\n{"model": "a"}', r":2: expected a time in ts", id="a time missing"
        ),
        pytest.param(
            '{"ts": 1738324800, "input_tokens": -1}', r":1: .*at least 0 in input_tok", id="sign"
        ),
        pytest.param(
            '{"ts": 1738324800, "input_tokens": 1e30}', r":1: .*at most 1e\+18 in input_tok",
            id="beyond any amount",
        ),
        pytest.param(
            '{"ts": 1738324800, "input_tokens": "many"}', r":1: .*got 'many'", id="a word"
        ),
        pytest.param(
            '{"timestamp": "2025-01-31T12:00Z", "event": "gateway drained", "level": "info"}',
            r":1: .*the event 'gateway drained'", id="a log of events",
        ),
        pytest.param(
            '{"ts": "2025-01-31T12:00Z"}\n{"ts": "2025-01-31T12:00"}',
            r":2: expected a time with a zone in ts, as in line 1", id="zones",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text(text)

    with pytest.raises(DemandError, match=message):
        read_request_log(path, step=10)


def test_a_size_that_one_entry_lacks_is_not_zero(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {"arrival_s": 0, "input_tokens": 10},
        {"arrival_s": 1, "input_tokens": None},
        {"arrival_s": 12},
        {"arrival_s": 20},
    )
    demand = read_request_log(path, step=10).demand()

    np.testing.assert_array_equal(demand.input_tokens.values, [2.0, np.nan])


def test_a_whole_number_beyond_all_others_is_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text('{"arrival_s": 0, "input_tokens": 1%s}\n{"arrival_s": 10}\n' % ("0" * 400))

    assert "no finite number" in read_request_log(path, step=10).repairs[0]
