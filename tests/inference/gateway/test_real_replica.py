"""The gateway before a replica of our own, in its own process, from birth to kill -9."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import openai
import pytest

from tests.inference.conftest import write_checkpoint


@pytest.fixture
def replica_process(tmp_path) -> Iterator:
    key = tmp_path / "key"
    key.write_text("a" * 32)
    key.chmod(0o600)
    model = write_checkpoint(tmp_path / "model")
    with subprocess.Popen(
        [
            sys.executable, "-m", "inference.replica",
            "--id", "r1", "--model-dir", model, "--model-name", "tiny",
            "--table", tmp_path / "replicas", "--admin-key-file", key,
            "--min-iteration-seconds", "0.02", "--log-file", tmp_path / "log",
        ]
    ) as process:  # fmt: skip
        yield process
        process.kill()


async def test_a_request_waits_for_its_birth_streams_and_is_told_of_its_death(
    replica_process, start_gateway
):
    gateway = await start_gateway(hold_seconds=60, ttft_objective_seconds=0.01)
    options = {"model": "tiny", "prompt": "ab", "extra_body": {"ignore_eos": True}}
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key="none", max_retries=0
    ) as client:
        whole = await client.completions.create(**options, max_tokens=4)
        assert whole.usage.completion_tokens == 4
        assert gateway.value("warmfront_gateway_cold_start_hits_total", model="tiny") == 1

        async with await client.completions.create(**options, max_tokens=4, stream=True) as stream:
            chunks = [chunk async for chunk in stream]
        assert chunks[-1].choices[0].finish_reason == "length"
        assert gateway.value("warmfront_gateway_output_tokens_total", model="tiny") == 8
        assert (
            gateway.value(
                "gen_ai_server_time_to_first_token_seconds_count", gen_ai_request_model="tiny"
            )
            == 2
        )

        twins = await client.completions.create(**options, max_tokens=4, n=2, logprobs=1)
        assert [len(choice.logprobs.tokens) for choice in twins.choices] == [4, 4]
        assert gateway.value("warmfront_gateway_output_tokens_total", model="tiny") == 16

        picture = {"url": "data:image/png;base64," + "A" * 5 * 1024**2}
        parts = [{"type": "image_url", "image_url": picture}]
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError, match="takes no images"):
                await client.chat.completions.create(
                    model="tiny", messages=[{"role": "user", "content": parts}], stream=stream
                )

        async with await client.completions.create(
            **options, max_tokens=250, stream=True
        ) as stream:
            await anext(stream)
            await asyncio.to_thread(replica_process.kill)
            with pytest.raises(openai.APIError, match="lost before its answer was complete"):
                async for _ in stream:
                    pass
