"""The LiteLLM proxy in front of one OpenAI-compatible upstream: one worker, and no database.

It says its version and port once it answers; if it is not installed, it says so and ends.
"""

import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

_START_SECONDS = 120.0
# Nothing is fetched or sent: prices come from the package, and there is no telemetry.
_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOG": "ERROR",
    # No keys are checked at either side: less work for it, and it listens on loopback only.
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    "LITELLM_MODE": "PRODUCTION",
    "DISABLE_ADMIN_UI": "True",
    "NO_DOCS": "True",
}


def main() -> int:
    """Start the proxy for `FOLDER UPSTREAM_PORT MODEL`, and end with it."""
    folder, upstream, model = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    try:
        version = importlib.metadata.version("litellm")
        importlib.metadata.version("fastapi")  # of its `proxy` extra
    except importlib.metadata.PackageNotFoundError as error:
        _tell({"missing": f"{error.name} is not installed where --peer-python points"})
        return 0
    port = _free_port()
    config = folder / "litellm.json"  # JSON is YAML
    config.write_text(json.dumps(_config(upstream, model)))
    script = Path(sys.executable).with_name("litellm")
    command = [str(script), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--num_workers", "1"],
        env=os.environ | _QUIET, stdout=sys.stderr, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _await(f"http://127.0.0.1:{port}/health/liveliness", process)
        _tell({"version": version, "port": port})
        sys.stdin.read()
    finally:
        process.terminate()
        process.wait(timeout=20)
    return 0


def _config(upstream: int, model: str) -> dict[str, Any]:
    own = {
        "model": f"openai/{model}",
        "api_base": f"http://127.0.0.1:{upstream}/v1",
        "api_key": "none",
    }
    return {
        "model_list": [{"model_name": model, "litellm_params": own}],
        "litellm_settings": {
            "num_retries": 0,
            "telemetry": False,
            "turn_off_message_logging": True,
        },
        "general_settings": {"disable_spend_logs": True},
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the proxy did not come up")


def _tell(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    sys.exit(main())
