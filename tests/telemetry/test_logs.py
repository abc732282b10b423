import io
import json
import logging
from datetime import UTC, datetime

import pytest
import structlog

from telemetry.logs import configure_logs
from telemetry.tracing import open_tracing


@pytest.fixture(autouse=True)
def _as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def stream():
    return io.StringIO()


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_time_level_logger_and_fields(stream):
    configure_logs(stream=stream)
    structlog.get_logger("telemetry.scrape").warning("target is down", url="http://x")
    (line,) = lines(stream)
    at = datetime.fromisoformat(line.pop("timestamp"))

    assert line == {
        "event": "target is down", "level": "warning", "logger": "telemetry.scrape",
        "url": "http://x",
    }  # fmt: skip
    assert at.tzinfo == UTC


def test_loggers_of_libraries_are_written_the_same_way(stream):
    configure_logs(stream=stream)
    logging.getLogger("aiohttp.access").info("GET %s", "/metrics", extra={"status": 200})
    (line,) = lines(stream)

    assert line["event"] == "GET /metrics"
    assert (line["level"], line["logger"], line["status"]) == ("info", "aiohttp.access", 200)


def test_a_line_names_the_span_it_was_written_in(stream):
    configure_logs(stream=stream)
    tracing = open_tracing("test", otlp_endpoint=None, instance="i")
    with tracing.tracer.start_as_current_span("request") as span:
        structlog.get_logger("ours").info("inside")
        logging.getLogger("theirs").info("inside")
    structlog.get_logger("ours").info("outside")
    tracing.close()
    ours, theirs, outside = lines(stream)

    assert ours["trace_id"] == theirs["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert ours["span_id"] == f"{span.get_span_context().span_id:016x}"
    assert "trace_id" not in outside


def fail(password):
    raise RuntimeError(f"it broke, {len(password)}")


@pytest.mark.parametrize("logger", [structlog.get_logger("ours"), logging.getLogger("theirs")])
def test_an_exception_is_fields_without_the_values_of_variables(stream, logger):
    configure_logs(stream=stream)
    try:
        fail(password="hunter2")  # noqa: S106 - what must not be logged
    except RuntimeError:
        logger.exception("failed")
    (line,) = lines(stream)
    (error,) = line["exception"]

    assert (error["exc_type"], error["exc_value"]) == ("RuntimeError", "it broke, 7")
    assert error["frames"][-1]["name"] == "fail"
    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize(
    ("level", "events"),
    [
        pytest.param("INFO", ["info", "warning"], id="info"),
        pytest.param("WARNING", ["warning"], id="warning"),
    ],
)
def test_what_is_below_the_level_is_left_out(stream, level, events):
    configure_logs(stream=stream, level=level)
    for logger in (structlog.get_logger("ours"), logging.getLogger("theirs")):
        logger.debug("debug")
        logger.info("info")
        logger.warning("warning")

    assert [line["event"] for line in lines(stream)] == events * 2


def test_a_level_that_is_none_is_refused(stream):
    with pytest.raises(ValueError, match="LOUD"):
        configure_logs(stream=stream, level="LOUD")


def test_configuring_again_replaces(stream):
    logger = structlog.get_logger("ours")
    configure_logs(stream=io.StringIO())
    logger.info("first")
    configure_logs(stream=stream)
    logger.info("second")

    assert [line["event"] for line in lines(stream)] == ["second"]


def test_any_value_can_be_logged_and_cannot_forge_a_line(stream):
    configure_logs(stream=stream)
    structlog.get_logger("ours").info("a\nb", value=object, text='"}\n{"event": "forged"}')

    assert [line["event"] for line in lines(stream)] == ["a\nb"]


def test_lines_for_people_are_plain_where_no_terminal_reads_them(stream):
    configure_logs(stream=stream, json=False)
    structlog.get_logger("ours").info("replica is ready", replica="r1")

    assert "replica is ready" in stream.getvalue()
    assert "replica=r1" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
