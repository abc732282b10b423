import io
from pathlib import Path

import pyarrow.parquet
import pytest
from rich.text import Text

from forecaster.cli.output.csv_text import csv_text
from forecaster.cli.output.formats import Format, format_of
from forecaster.cli.output.parquet import parquet_bytes
from forecaster.cli.output.result import Records, Result
from forecaster.cli.output.terminal import Page, plain_text
from forecaster.cli.output.writing import write, write_file
from forecaster.demand.demand import DemandError

RECORDS = Records({"name": ["a,b", 'c"d'], "value": [0.1 + 0.2, float("nan")], "count": [1, None]})
RESULT = Result([Text("for people")], {"for": "machines"}, RECORDS)


@pytest.mark.parametrize(
    ("asked", "output", "form"),
    [
        pytest.param(None, None, Format.TABLE, id="nothing named"),
        pytest.param("json", Path("x.csv"), Format.JSON, id="the format counts before the file"),
        pytest.param(None, Path("x.JSON"), Format.JSON, id="by its ending"),
        pytest.param(None, Path("x.csv"), Format.CSV, id="csv"),
        pytest.param(None, Path("x.pq"), Format.PARQUET, id="parquet"),
        pytest.param(None, Path("x.txt"), Format.TABLE, id="an ending that says nothing"),
    ],
)
def test_the_format_is_the_one_asked_for_or_the_file_is_named_for(
    asked: str | None, output: Path | None, form: Format
) -> None:
    assert format_of(asked, output) is form


def test_csv_keeps_every_digit_and_leaves_empty_what_is_not_known() -> None:
    assert csv_text(RECORDS) == ('name,value,count\n"a,b",0.30000000000000004,1\n"c""d",,\n')


def test_parquet_reads_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet_bytes(RECORDS))

    assert pyarrow.parquet.read_table(path).to_pydict() == {
        "name": ["a,b", 'c"d'],
        "value": [0.1 + 0.2, None],
        "count": [1, None],
    }


def test_columns_of_different_lengths_are_no_table() -> None:
    with pytest.raises(ValueError, match="one length"):
        Records({"a": [1], "b": []})


@pytest.mark.parametrize(
    ("form", "begins"), [(Format.TABLE, "for people"), (Format.JSON, "{"), (Format.CSV, "name,")]
)
def test_text_goes_to_the_stream(form: Format, begins: str) -> None:
    out = io.StringIO()
    write(RESULT, form, None, out)

    assert out.getvalue().startswith(begins)


def test_a_page_stays_markdown_where_nobody_lays_it_out() -> None:
    assert plain_text([Page("# Title\n\n- point\n")]) == "# Title\n\n- point\n"


def test_a_file_is_replaced_at_once_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")
    write(RESULT, Format.CSV, path)

    assert path.read_text() == csv_text(RECORDS)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_goes_on_leading_to_the_file(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    write_file(link, b"new")

    assert (link.is_symlink(), real.read_bytes()) == (True, b"new")


def test_what_is_no_file_is_written_into(tmp_path: Path) -> None:
    write_file(Path("/dev/null"), b"gone")

    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("name", ["no/such/folder.csv", ".", "x" * 300])
def test_a_file_that_cannot_be_written_is_named_and_leaves_nothing(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(DemandError, match="cannot be written"):
        write_file(tmp_path / name, b"x")

    assert list(tmp_path.iterdir()) == []


class _Full(io.StringIO):
    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_device_is_an_error_for_people() -> None:
    with pytest.raises(DemandError, match="No space left"):
        write(RESULT, Format.CSV, None, _Full())
