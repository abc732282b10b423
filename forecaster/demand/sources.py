"""The one door to demand: a file, a log or a living Prometheus, told by its name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from forecaster.demand.demand import REQUESTS, Demand, DemandError
from forecaster.demand.parquet_file import read_parquet
from forecaster.demand.prometheus import PrometheusSource
from forecaster.demand.request_log import read_request_log
from forecaster.demand.trace import DEFAULT_STEP, Trace
from forecaster.demand.trace_file import read_trace
from telemetry.series import Window

DEFAULT_HISTORY = 14 * 86_400.0  # seconds

_TABLES: Mapping[str, Callable[..., Trace]] = {
    ".csv": read_trace,
    ".csv.gz": read_trace,
    ".parquet": read_parquet,
    ".pq": read_parquet,
}
_LOGS = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")


def read_demand_of(
    source: str | Path,
    *,
    step: float | None = None,
    column: str | None = None,
    query: str | None = None,
    model: str | None = None,
    region: str | None = None,
    priority: str | None = None,
    is_counter: bool = False,
    is_summed: bool = False,
    unit: str = REQUESTS,
    end: float | None = None,
    history_seconds: float = DEFAULT_HISTORY,
) -> Demand:
    """Return the demand that a file or a Prometheus holds; `DemandError` says why it cannot be.

    `step` is in seconds, without one the bin of a file or a minute. `column` is of a table;
    `query` (PromQL, in `unit`), `end` (seconds since 1970), `history_seconds` and `is_summed`
    (several series are added up) are of a Prometheus. `is_counter` reads growth out of counters.
    """
    text = str(source)
    asked = {"model": model, "region": region, "priority": priority}
    labels = {name: value for name, value in asked.items() if value is not None}
    if step is not None and step <= 0:
        raise DemandError(f"{text}: expected a step above 0 s, got {step:g} s")
    if not _is_address(text):
        table = _Table(Path(source), column, labels, is_counter)
        demand = table.read(query, step)
        return demand if model is None else replace(demand, name=model)
    if column is not None:
        raise DemandError(f"{text}: a Prometheus has no columns: expected a query or a model")
    window = _window(text, step or DEFAULT_STEP, end, history_seconds)
    if query is None:
        return _of_model(text, window, labels)
    if labels:
        raise DemandError(f"{text}: expected a query or labels, not both: put them in the query")
    return PrometheusSource(text).of_query(
        query, window, is_counter=is_counter or None, is_summed=is_summed, unit=unit
    )


def _is_address(text: str) -> bool:
    if "://" in text and not text.startswith(("http://", "https://")):
        raise DemandError(f"{text}: expected a file, or the http:// or https:// of a Prometheus")
    return "://" in text


@dataclass(frozen=True, slots=True)
class _Table:
    """A file, and what of it is asked for."""

    path: Path
    column: str | None
    labels: Mapping[str, str]
    is_counter: bool

    def read(self, query: str | None, step: float | None) -> Demand:
        """Return the demand; requests are counted as they are read."""
        if query is not None:
            raise DemandError(
                f"{self.path}: a query can be asked of a Prometheus (http://…), not of a file"
            )
        counted = DEFAULT_STEP if step is None else step
        is_log = self.path.name.lower().endswith(_LOGS)
        return (self._log(counted) if is_log else self._table(counted)).demand(step)

    def _log(self, step: float) -> Trace:
        if self.column is not None or self.is_counter:
            raise DemandError(
                f"{self.path}: a log of requests is counted: no column and no counter can be "
                "chosen"
            )
        return read_request_log(self.path, step=step, labels=self.labels)

    def _table(self, step: float) -> Trace:
        name = self.path.name.lower()
        read = next((read for suffix, read in _TABLES.items() if name.endswith(suffix)), None)
        if read is None:
            expected = ", ".join([*_TABLES, *_LOGS])
            raise DemandError(
                f"{self.path}: expected a file whose name ends in one of {expected}, or the "
                "address of a Prometheus"
            )
        return read(
            self.path,
            step=step,
            column=self.column,
            labels=self.labels,
            is_counter=self.is_counter,
        )


def _of_model(url: str, window: Window, labels: Mapping[str, str]) -> Demand:
    if "model" not in labels:
        raise DemandError(f"{url}: expected a query, or a model whose gateway it scrapes")
    others = {name: value for name, value in labels.items() if name != "model"}
    return PrometheusSource(url).of_model(labels["model"], window, labels=others)


def _window(url: str, step: float, end: float | None, history_seconds: float) -> Window:
    if end is None:
        raise DemandError(f"{url}: expected the end of the time to ask for")
    if step < 1 or history_seconds < step:
        raise DemandError(
            f"{url}: expected a step of 1 s or more and a history at least as long, got "
            f"{step:g} s and {history_seconds:g} s"
        )
    return Window.ending(end, step=step, points=int(history_seconds / step))
