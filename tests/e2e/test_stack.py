"""The whole loop as a user meets it: start, ask, look, break it, stop it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from openai import OpenAI

from inference.models.bundled.scaling_sentences import EXAMPLE, grade
from tests.e2e.running import FAST, Running, end, is_alive, metric, start, wait_for

pytestmark = pytest.mark.e2e
QUESTION = [{"role": "user", "content": EXAMPLE.prompt}]


def _ask(running: Running, **changes: object) -> str:
    with OpenAI(base_url=running.api, api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(
            model="warmfront-tiny", messages=QUESTION, max_tokens=80, temperature=0, **changes
        )
        return answer.choices[0].message.content or ""


def test_a_user_asks_looks_and_stops(stack: Running):
    with OpenAI(base_url=stack.api, api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["warmfront-tiny"]
        stream = client.chat.completions.create(
            model="warmfront-tiny", messages=QUESTION, max_tokens=80, temperature=0, stream=True
        )
        streamed = "".join(
            chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices
        )
        text = client.completions.create(
            model="warmfront-tiny", prompt="The with statement", max_tokens=8, temperature=0
        )
    assert grade(EXAMPLE.prompt, streamed), streamed
    assert streamed == _ask(stack)
    assert text.choices[0].text

    def decided() -> bool:
        seen = stack.snapshot()
        shown = stack.get(f"{stack.console}/metrics")
        serving = metric(shown, "warmfront_replicas", state="serving")
        return bool(seen["decisions"] and seen["demand"]["now"] and seen["gpus"] and serving == 1)

    wait_for("demand, GPUs, a decision and a serving replica on the console", decided)
    seen = stack.snapshot()
    assert seen["problems"] == []
    assert all(gpu["simulated"] for gpu in seen["gpus"])
    assert "plotly" in stack.get(f"{stack.console}/")
    assert metric(stack.get(f"{stack.gateway}/metrics"), "warmfront_gateway_arrivals_total") == 3
    assert 'simulated="true"' in stack.get(stack.exporter)

    pids = [one["pid"] for one in stack.replicas()]
    assert stack.stop() == 0
    assert not any(is_alive(pid) for pid in pids)
    assert "nothing is left running" in stack.out.read_text()
    assert "Traceback" not in stack.out.read_text()


def test_a_killed_replica_is_replaced_and_shown(stack: Running):
    victim = stack.serving()[0]
    wait_for("the daemon to see it", lambda: stack.snapshot()["replicas"]["now"].get("serving"))

    os.kill(victim["pid"], signal.SIGKILL)

    wait_for(
        "another replica", lambda: [one for one in stack.serving() if one["pid"] != victim["pid"]]
    )
    assert _ask(stack)
    page = stack.get(f"{stack.console}/metrics")
    assert metric(page, "warmfront_replica_crashes_total") == 1


def test_with_two_replicas_requests_go_on_while_one_is_killed(tmp_path: Path):
    running = start(tmp_path, FAST.replace("[autoscaler]", "[autoscaler]\nminimum = 2"))
    try:
        wait_for("two serving replicas", lambda: len(running.serving()) == 2)
        os.kill(running.serving()[0]["pid"], signal.SIGKILL)
        assert all(_ask(running) for _ in range(5))
        assert running.stop() == 0
    finally:
        running.kill()
        end(tmp_path)


def test_a_killed_daemon_finds_its_replicas_and_its_history_again(stack: Running, tmp_path: Path):
    before = _ask(stack)
    replica = stack.serving()[0]
    wait_for("the request in the history", lambda: stack.snapshot()["demand"]["now"])

    stack.kill()
    assert is_alive(replica["pid"])
    again = start(tmp_path)
    try:
        assert _ask(again) == before
        assert [one["pid"] for one in again.serving()] == [replica["pid"]]
        adopted = lambda: 'outcome="adopted"} 1.0' in again.get(f"{again.console}/metrics")  # noqa: E731
        wait_for("the adoption on the metrics page", adopted)
        assert any(again.snapshot()["demand"]["rate"])
        assert again.stop() == 0
        assert not is_alive(replica["pid"])
    finally:
        again.kill()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        pytest.param(b"{not json", 400, "JSON", id="malformed JSON"),
        pytest.param(b'{"model": "gpt-9", "messages": []}', 404, "gpt-9", id="unknown model"),
        pytest.param(b'{"messages": []}', 400, "model", id="no model"),
        pytest.param(
            b'{"model": "warmfront-tiny", "messages": "hello"}', 400, "messages", id="wrong type"
        ),
    ],
)
def test_a_bad_request_gets_one_clear_answer(
    module_stack: Running, body: bytes, status: int, said: str
):
    request = urllib.request.Request(  # noqa: S310 - our own
        f"{module_stack.api}/chat/completions", body, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(request, timeout=10)  # noqa: S310 - our own

    with raised.value as answer:
        error = json.loads(answer.read())["error"]
    assert answer.status == status
    assert said in error["message"]


def test_down_stops_what_a_killed_daemon_left(stack: Running):
    left = stack.serving()[0]
    stack.kill()
    command = [sys.executable, "-m", "warmfront", "down", "--state-dir", str(stack.state)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == f"Stopped {left['id']}.\n"
    assert not is_alive(left["pid"])
    assert again.stdout == "Nothing was running.\n"
