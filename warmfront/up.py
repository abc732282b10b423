"""`warmfront up`: the stack with its terminal view, until somebody stops it."""

from rich.console import Console as Terminal

from telemetry.clock import SystemClock
from warmfront.config import Config
from warmfront.signals import stop_event
from warmfront.stack import Stack, running
from warmfront.watch import watch


async def up(config: Config, *, plain: bool) -> int:
    """Run until asked to stop, then drain; return the exit status."""
    terminal = Terminal()
    async with stop_event() as stop:
        async with running(config, clock=SystemClock()) as stack:
            _greet(terminal, stack, config)
            async with watch(stack, terminal, plain=plain):
                await stop.wait()
            terminal.print("Draining: requests in flight may finish; replicas stop …")
        terminal.print("Stopped; nothing is left running.")
    return 0


def _greet(terminal: Terminal, stack: Stack, config: Config) -> None:
    """Say where everything is, and the first thing to try."""
    terminal.print(f"API      {stack.gateway_url}/v1  (OpenAI-compatible)")
    terminal.print(f"Console  {stack.console_url}")
    terminal.print(f"GPUs     {stack.exporter_url}/metrics")
    terminal.print(
        f"Try      curl {stack.gateway_url}/v1/chat/completions -H 'Content-Type: "
        f'application/json\' -d \'{{"model": "{config.model.name}", "messages": '
        '[{"role": "user", "content": "What is a cold start?"}]}\'',
        highlight=False,
        soft_wrap=True,
    )
    terminal.print("Stop     Ctrl-C\n")
