"""The logs of replica processes: one file each, bounded in size and in number."""

from collections.abc import Collection
from pathlib import Path

_TAIL_BYTES = 16 * 1024
_LINE_LENGTH = 400


class ReplicaLogs:
    """A folder with one log per replica; old ones go, long ones are cut."""

    def __init__(self, folder: Path, *, max_bytes: int = 4 << 20, keep: int = 20) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._keep = keep
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, replica: str) -> Path:
        """Return where one replica's log is."""
        return self._folder / f"{replica}.log"

    def last_words(self, replica: str) -> str:
        """Return the last line in which a replica speaks of an error, or else its last line."""
        try:
            with self.path(replica).open("rb") as file:
                file.seek(max(file.seek(0, 2) - _TAIL_BYTES, 0))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in reversed(text.split("\n")) if line.strip()]
        told = next((line for line in lines if "error" in line.lower()), next(iter(lines), ""))
        return told[:_LINE_LENGTH]

    def trim(self, *, in_use: Collection[str]) -> None:
        """Cut what is too long, keeping one older part, and drop the oldest logs not in use."""
        for path in self._folder.glob("*.log"):
            if path.stat().st_size > self._max_bytes:
                self._cut(path)
        idle = [path for path in self._folder.glob("*.log") if path.stem not in in_use]
        idle.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in idle[self._keep :]:
            path.unlink(missing_ok=True)
            path.with_suffix(".log.1").unlink(missing_ok=True)

    @staticmethod
    def _cut(path: Path) -> None:
        """Move the content aside and empty the file in place: its writer appends to it still."""
        path.with_suffix(".log.1").write_bytes(path.read_bytes())
        with path.open("r+b") as file:
            file.truncate(0)
