"""Replica processes: started without a shell in sessions of their own, signalled, and reaped.

A started process has no object here whose end could end it: it outlives the daemon, and the
next daemon finds it in the process table.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path


def start_process(command: Sequence[str], *, log: Path) -> int:
    """Start a program that writes to `log` and reads nothing; return its pid or raise OSError."""
    log.parent.mkdir(parents=True, exist_ok=True)
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND  # so that the log can be cut while open
    return os.posix_spawnp(
        command[0],
        list(command),
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), appending, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGTERM, signal.SIGINT],
    )


def reap(pid: int) -> bool:
    """Tell whether our child has exited, and let the kernel forget it if so."""
    try:
        done, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return True  # reaped before
    return done != 0


def ask_to_stop(pid: int) -> None:
    """Send SIGTERM: drain, then exit."""
    _signal(pid, signal.SIGTERM)


def kill(pid: int) -> None:
    """Send SIGKILL to a process, and to its group where it leads one."""
    try:
        leads = os.getpgid(pid) == pid
    except ProcessLookupError:
        return
    _signal(-pid if leads else pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # gone, or no longer ours
