"""The process table of one machine: a folder with one small JSON file per replica.

A replica writes its own record at every change of state; the gateway routes by the records
and the autoscaler adopts by them, so each survives the death of the others.
"""

import json
import os
import re
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from telemetry.lifecycle import ReplicaState

_REPLICA_ID = re.compile(r"[A-Za-z0-9._-]+")


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
    models: tuple[str, ...] = ()  # every name in memory, aliases too; () says no more than `model`
    region: str = ""
    version: str = ""  # of what it serves: replicas of several stand side by side in a rollout
    device: str = ""  # "cpu", "gpu" or "mig" (a slice of a GPU), where it is known

    @property
    def url(self) -> str:
        """Base URL of the replica's HTTP server."""
        return f"http://{self.host}:{self.port}"

    def serves(self, model: str) -> bool:
        """Tell whether requests for this name belong here, whatever the state."""
        return model in self.models if self.models else model == self.model


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
        path = self._path(record.id)
        draft = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.tmp")
        draft.write_text(json.dumps(asdict(record)))
        draft.replace(path)

    def remove(self, replica: str) -> None:
        """Forget one replica; forgetting twice is fine."""
        self._path(replica).unlink(missing_ok=True)

    def _path(self, replica: str) -> Path:
        if not _REPLICA_ID.fullmatch(replica):  # it must not name a file elsewhere
            raise ValueError(f"expected an id of letters, digits, '.', '_', '-', got {replica!r}")
        return self._folder / f"{replica}.json"

    @staticmethod
    def _read(path: Path) -> ReplicaRecord | None:
        try:
            return _parse_record(path.read_text())
        except (OSError, KeyError, TypeError, ValueError):
            return None  # removed between listing and reading, or not ours


def _parse_record(text: str) -> ReplicaRecord:
    fields = json.loads(text)
    if int(fields["pid"]) <= 0:
        raise ValueError(f"expected a process id, got {fields['pid']}")
    return ReplicaRecord(
        id=str(fields["id"]),
        model=str(fields["model"]),
        state=ReplicaState(fields["state"]),
        pid=int(fields["pid"]),
        pid_started=float(fields["pid_started"]),
        host=str(fields["host"]),
        port=int(fields["port"]),
        slots=int(fields["slots"]),
        since=float(fields["since"]),
        models=_names(fields.get("models", ())),
        region=str(fields.get("region", "")),
        version=str(fields.get("version", "")),
        device=str(fields.get("device", "")),
    )


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"expected a list of names, got {value!r}")
    return tuple(map(str, value))
