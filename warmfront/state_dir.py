"""The folder that holds what outlives one run: history, decisions, process table, logs, key."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from warmfront.errors import StackError


@dataclass(frozen=True, slots=True)
class StateDir:
    """Where each thing lies."""

    root: Path

    @property
    def metrics(self) -> Path:
        """The embedded metrics store."""
        return self.root / "metrics.sqlite"

    @property
    def ledger(self) -> Path:
        """The autoscaler's decisions."""
        return self.root / "ledger.sqlite"

    @property
    def forecasts(self) -> Path:
        """How the forecasts of the last season fared."""
        return self.root / "forecasts.json"

    @property
    def replicas(self) -> Path:
        """The process table."""
        return self.root / "replicas"

    @property
    def logs(self) -> Path:
        """Logs of the daemon and of each replica."""
        return self.root / "logs"

    @property
    def admin_key(self) -> Path:
        """The key that admin calls need, readable by its owner only."""
        return self.root / "admin.key"

    @property
    def keys(self) -> Path:
        """The API keys of the gateway's callers, as hashes."""
        return self.root / "keys.json"

    @property
    def lock(self) -> Path:
        """Held by the one daemon that works on this folder; holds its pid."""
        return self.root / "daemon.lock"


def prepare(root: Path) -> StateDir:
    """Create the folder with its key where they are missing; raise StackError if that fails."""
    state = StateDir(root.absolute())
    try:
        for folder in (state.root, state.replicas, state.logs):
            folder.mkdir(parents=True, exist_ok=True)
        if not state.admin_key.exists():
            descriptor = os.open(state.admin_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32))
    except OSError as error:
        raise StackError(
            f"cannot use {root} as state folder: {error.strerror or error}; "
            "choose another with --state-dir"
        ) from error
    return state


@contextmanager
def claimed(state: StateDir) -> Iterator[None]:
    """Hold the folder for this process alone; the lock dies with the process."""
    with state.lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(
                f"another Warmfront ({_holder(state)}) already works in {state.root}; "
                "stop it first, or give this one a folder of its own with --state-dir"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _holder(state: StateDir) -> str:
    """Name the process that holds the lock, as far as it can be known."""
    pid = state.lock.read_text().strip()
    return f"pid {pid}" if pid else "pid unknown"
