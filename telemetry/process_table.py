"""The process table of one machine: a folder with one small JSON file per replica.

A replica writes its own record at every change of state; the gateway routes by the records
and the autoscaler adopts by them, so each survives the death of the others.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from telemetry.lifecycle import ReplicaState


@dataclass(frozen=True, slots=True)
class ReplicaRecord:
    """One replica as its process last described itself."""

    id: str
    model: str
    state: ReplicaState
    pid: int
    pid_started: float  # process creation time: guards against a reused pid
    host: str
    port: int
    slots: int
    since: float  # when `state` was entered, seconds since the epoch

    @property
    def url(self) -> str:
        """Base URL of the replica's HTTP server."""
        return f"http://{self.host}:{self.port}"


def is_alive(record: ReplicaRecord) -> bool:
    """Tell whether the process that wrote the record still runs."""
    try:
        process = psutil.Process(record.pid)
        return (
            abs(process.create_time() - record.pid_started) < 1.0
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False


class ProcessTable:
    """The records in one folder; writing is atomic, reading skips what is half gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def records(self) -> list[ReplicaRecord]:
        """Return every record, oldest id first, whether or not its process still runs."""
        found = [self._read(path) for path in sorted(self._folder.glob("*.json"))]
        return [record for record in found if record is not None]

    def put(self, record: ReplicaRecord) -> None:
        """Write or replace the record of one replica."""
        path = self._folder / f"{record.id}.json"
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        draft.write_text(json.dumps(asdict(record)))
        draft.replace(path)

    def remove(self, replica: str) -> None:
        """Forget one replica; forgetting twice is fine."""
        (self._folder / f"{replica}.json").unlink(missing_ok=True)

    @staticmethod
    def _read(path: Path) -> ReplicaRecord | None:
        try:
            fields = json.loads(path.read_text())
            return ReplicaRecord(**{**fields, "state": ReplicaState(fields["state"])})
        except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError, ValueError):
            return None  # removed between listing and reading, or not ours
