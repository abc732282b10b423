"""Logs of a command: on standard error, so that standard output holds the answer alone."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog


@contextmanager
def logs_on(errors: TextIO) -> Iterator[None]:
    """Have warnings, and nothing less, logged to this stream for as long as a command runs."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(errors),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
