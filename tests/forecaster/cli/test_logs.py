import io

import pytest
import structlog

from forecaster.cli.logs import logs_on


def test_warnings_go_to_the_errors_and_what_is_less_goes_nowhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    errors, log = io.StringIO(), structlog.get_logger()
    with logs_on(errors):
        log.info("fitted")
        log.warning("not fitted")

    assert "not fitted" in errors.getvalue()
    assert errors.getvalue().count("\n") == 1
    assert capsys.readouterr().out == ""


def test_afterwards_logs_go_where_they_went_before() -> None:
    before = structlog.get_config()
    with logs_on(io.StringIO()):
        pass

    assert structlog.get_config() == before
