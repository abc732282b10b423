"""Series read from a Prometheus that scrapes us, over its HTTP API.

There is nothing to write: Prometheus takes its samples from our /metrics pages by itself.
"""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

import numpy as np
from numpy.typing import NDArray

from telemetry.series import Sample, Selector, Series, Window
from telemetry.store import StoreUnavailableError

_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MOST_POINTS = 10_000  # of 11,000 that Prometheus gives in one answer
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class PrometheusReader:
    """telemetry.store.Reader over Prometheus; it blocks, so call it in a thread.

    `increase` is Prometheus' own: it extrapolates from the readings inside a step to the whole
    step, so a count may come out fractional, and a step needs two readings of its own (scrape
    at least twice per step). The embedded store counts from the last reading before the step
    and extrapolates nothing. Over many steps the two add up to the same.
    """

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ValueError(f"expected a URL such as http://127.0.0.1:9090, got {url!r}")
        self._url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        # urllib, as one small form at a time needs no more; a Prometheus is near: no proxy.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def latest(self, selector: Selector, *, at: float, within: float) -> list[Sample]:
        """Return the newest sample of each series not older than `within` seconds before `at`."""
        # A millisecond more: from version 3 a range leaves out its left end.
        query = f"{_promql(selector)}[{_milliseconds(within) + 1}ms]"
        found = []
        for result in self._ask("query", query=query, time=_seconds(at)):
            moment, value = result["values"][-1]
            if float(moment) >= at - within - 0.0005:
                found.append(Sample(selector.name, _labels(result), float(moment), float(value)))
        return found

    def gauge(self, selector: Selector, window: Window) -> list[Series]:
        """Return each matching series: at each point, the newest value of the step before it."""
        # Up to version 2 a range takes in its left end, which belongs to the step before.
        step = max(_milliseconds(window.step) - 1, 1)
        return self._on_grid(f"last_over_time({_promql(selector)}[{step}ms])", window)

    def increase(self, selector: Selector, window: Window) -> list[Series]:
        """Return how much each matching counter grew in the step before each point."""
        step = _milliseconds(window.step)
        return self._on_grid(f"increase({_promql(selector)}[{step}ms])", window)

    def query_range(self, query: str, window: Window) -> list[Series]:
        """Return what a PromQL query gives at each point, with its name as __name__."""
        values: dict[frozenset[tuple[str, str]], NDArray[np.float64]] = {}
        for first in range(0, window.size, _MOST_POINTS):
            last = min(first + _MOST_POINTS, window.size) - 1
            results = self._ask(
                "query_range",
                query=query,
                start=_seconds(window.start + window.step * first),
                end=_seconds(window.start + window.step * last),
                step=_seconds(window.step),
            )
            for one in results:
                key = frozenset(one["metric"].items())
                _put(one, window, values.setdefault(key, np.full(window.size, np.nan)))
        found = [Series(dict(sorted(key)), window, one) for key, one in values.items()]
        return [series for series in found if series.has_data]

    def _on_grid(self, query: str, window: Window) -> list[Series]:
        found = self.query_range(query, window)
        return [Series(_unnamed(one.labels), window, one.values) for one in found]

    def _ask(self, path: str, **fields: str) -> list[dict[str, Any]]:
        """Return the result of one query; every way to fail is `StoreUnavailableError`."""
        form = {**fields, "timeout": f"{_milliseconds(self._timeout_seconds)}ms"}
        try:
            status, body = self._post(path, urllib.parse.urlencode(form).encode())
            answer = json.loads(body)
        except (OSError, HTTPException, ValueError) as error:
            raise StoreUnavailableError(
                f"Prometheus at {self._url} gave no answer that could be read: {error}; "
                "check that it runs and that this is its address"
            ) from error
        return self._result(status, answer)

    def _post(self, path: str, form: bytes) -> tuple[int, bytes]:
        request = urllib.request.Request(f"{self._url}/api/v1/{path}", data=form)  # noqa: S310 - the scheme was checked
        try:
            with self._opener.open(request, timeout=self._timeout_seconds) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:  # Prometheus explains itself in the body of 4xx and 5xx
                return error.code, error.read()

    def _result(self, status: int, answer: Any) -> list[dict[str, Any]]:
        if not isinstance(answer, dict) or answer.get("status") != "success":
            said = answer.get("error") if isinstance(answer, dict) else answer
            raise StoreUnavailableError(f"Prometheus at {self._url} answered {status}: {said}")
        if answer.get("warnings"):  # part of the data may be missing, nobody knows which
            warnings = "; ".join(answer["warnings"])
            raise StoreUnavailableError(f"Prometheus at {self._url} warned: {warnings}")
        data = answer.get("data") or {}
        if data.get("resultType", "matrix") != "matrix":
            raise StoreUnavailableError(
                f"Prometheus at {self._url} answered with a {data['resultType']}: expected the "
                "values of series over time"
            )
        result: list[dict[str, Any]] = data.get("result", [])
        return result


def _promql(selector: Selector) -> str:
    """Write the selector in Prometheus' language, whatever its label values hold."""
    if not _METRIC_NAME.fullmatch(selector.name):
        raise ValueError(f"expected a metric's name, got {selector.name!r}")
    matchers = []
    for label, value in selector.labels.items():
        if not _LABEL_NAME.fullmatch(label):
            raise ValueError(f"expected a label's name, got {label!r}")
        matchers.append(f'{label}="{value.translate(_ESCAPES)}"')
    return f"{selector.name}{{{','.join(matchers)}}}"


def _labels(result: Mapping[str, Any]) -> dict[str, str]:
    return _unnamed(result["metric"])


def _unnamed(labels: Mapping[str, str]) -> dict[str, str]:
    return {label: value for label, value in labels.items() if label != "__name__"}


def _put(result: Mapping[str, Any], window: Window, values: NDArray[np.float64]) -> None:
    for moment, value in result["values"]:
        values[round((float(moment) - window.start) / window.step)] = float(value)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
