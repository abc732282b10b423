"""Places in what is read: the file and the line that an error names."""

from dataclasses import dataclass

from forecaster.demand.demand import DemandError


@dataclass(frozen=True, slots=True)
class Place:
    """A source of rows, and what its rows are called."""

    path: str
    word: str = "line"

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rstrip("/").rpartition("/")[2]

    def error(self, number: int, expected: str, found: str) -> DemandError:
        """Return the error that says what was expected in a line, and what was found."""
        at = f":{number}" if self.word == "line" else f": {self.word} {number}"
        return DemandError(f"{self.path}{at}: expected {expected}, got {found}")

    def wrong(self, why: str) -> DemandError:
        """Return the error that says what is wrong with the whole."""
        return DemandError(f"{self.path}: {why}")
