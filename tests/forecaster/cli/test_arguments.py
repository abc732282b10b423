import subprocess
import sys
from collections.abc import Callable

import pytest

from forecaster.cli.arguments import with_action


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        pytest.param(["x.csv"], ["predict", "x.csv"], id="a source alone"),
        pytest.param(["--json", "x.csv"], ["predict", "--json", "x.csv"], id="an option first"),
        pytest.param(["fit", "x.csv"], ["fit", "x.csv"], id="an action"),
        pytest.param(["-h"], ["-h"], id="help"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_predict_is_meant_where_no_action_is_named(given: list[str], meant: list[str]) -> None:
    assert with_action(given) == meant


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["predict"], "expected a SOURCE", id="no source"),
        pytest.param(
            ["predict", "a.csv", "--prometheus", "http://b"], "got both", id="two sources"
        ),
        pytest.param(["a.csv", "--horizon", "0"], "whole number of steps", id="no horizon"),
        pytest.param(["plot", "a.csv"], "required: --output", id="a plot into nothing"),
        pytest.param(["plot", "a.csv", "--output", "a.gif"], "ends in one of", id="no picture"),
        pytest.param(["a.csv", "--format", "xml"], "invalid choice", id="no format"),
    ],
)
def test_what_is_wrongly_asked_is_refused_before_anything_is_read(
    run: Callable[..., tuple[int, str, str]], words: list[str], said: str
) -> None:
    status, out, errors = run(*words)

    assert (status, out) == (2, "")
    assert said in errors


def test_help_waits_for_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from forecaster.__main__ import main\n"
        "try:\n    main(['predict', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'pandas', 'plotly', 'matplotlib', 'pyarrow', 'rich', 'shtab'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_no_web_server_is_imported_to_forecast() -> None:
    code = "import sys, forecaster.cli.run\nsys.exit('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 0
