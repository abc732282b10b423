import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from exporter.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("gpus", "message"),
    [
        pytest.param(None, "no NVIDIA driver answers on this machine", id="no driver"),
        pytest.param("0", "lists no GPU", id="a driver without a GPU"),
    ],
)
def test_without_gpus_it_says_so_in_one_line_and_fails(
    build_nvml: Callable[..., Path], tmp_path: Path, gpus: str | None, message: str
) -> None:
    broken = tmp_path / "libnvidia-ml.so.1"
    broken.write_bytes(b"no library")
    folder = tmp_path if gpus is None else build_nvml().parent
    ended = subprocess.run(
        [sys.executable, "-m", "exporter"],
        cwd=ROOT,
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), "FAKE_NVML_GPUS": gpus or "0"},
        capture_output=True,
        check=False,
        timeout=30,
    )

    assert ended.returncode == 1
    lines = ended.stderr.decode().splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_a_port_in_use_is_said_in_one_line(
    nvml: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status = main(["--port", str(taken.getsockname()[1])])

    assert status == 1
    assert "cannot serve on 127.0.0.1" in capsys.readouterr().err


def test_it_serves_the_gpus_of_its_machine(build_nvml: Callable[..., Path]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    exporter = subprocess.Popen(
        [sys.executable, "-m", "exporter", "--port", str(port), "--cadence", "0.05"],
        cwd=ROOT,
        env={
            **os.environ,
            "LD_LIBRARY_PATH": str(build_nvml().parent),
            "FAKE_NVML_GPUS": "3",
        },
    )
    try:
        page = asyncio.run(fetch(port))
    finally:
        exporter.terminate()
        exporter.wait(10)

    assert page.count("\nDCGM_FI_DEV_GPU_UTIL{") == 3


async def fetch(port: int) -> str:
    """Ask until the first collection is there, for half a minute at most."""
    url = f"http://127.0.0.1:{port}/metrics"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as client:
        for _ in range(300):
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with client.get(url) as answer:
                    page = await answer.text()
                if "DCGM_FI_DEV_GPU_UTIL" in page:
                    return page
            await asyncio.sleep(0.1)
    raise AssertionError("the exporter never served a GPU")
