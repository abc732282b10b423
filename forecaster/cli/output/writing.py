"""Where results go: to standard output, or into a file that is whole or not there at all."""

import os
import sys
from pathlib import Path
from typing import TextIO

from forecaster.cli.output.formats import Format, encoded
from forecaster.cli.output.result import Result
from forecaster.demand.demand import DemandError


def write(result: Result, form: Format, output: Path | None, out: TextIO | None = None) -> None:
    """Write the result in this format to the file, or to `out` where none is named."""
    if output is not None and str(output) != "-":
        write_file(output, encoded(result, form))
        return
    try:
        _print(result, form, sys.stdout if out is None else out)
    except BrokenPipeError:  # not a failure: whoever read had enough
        raise
    except OSError as error:
        raise DemandError(f"the output cannot be written: {error.strerror or error}") from error


def write_file(path: Path, content: bytes) -> None:
    """Put the content where `path` says, at once: a reader sees the old file or the new one."""
    try:
        if _is_stream(path):
            with path.open("ab") as stream:
                stream.write(content)
        else:
            _replace(path.resolve(), content)
    except OSError as error:
        raise DemandError(f"{path} cannot be written: {error.strerror or error}") from error


def _print(result: Result, form: Format, stream: TextIO) -> None:
    if form is Format.TABLE:
        from forecaster.cli.output.terminal import console_on, show  # noqa: PLC0415 - only here

        show(result.shown, console_on(stream))
    elif form is Format.PARQUET:
        _write_bytes(stream, encoded(result, form))
    else:
        stream.write(encoded(result, form).decode())
    stream.flush()


def _is_stream(path: Path) -> bool:
    """Tell whether there is a pipe or a device, in whose place no file can be put."""
    if path.parent == Path("/dev"):  # /dev/stdout may lead to a plain file that is being written
        return True
    return path.exists() and not (path.is_file() or path.is_dir())


def _replace(target: Path, content: bytes) -> None:
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _write_bytes(stream: TextIO, content: bytes) -> None:
    if stream.isatty():
        raise DemandError(
            "Parquet is no text for a terminal: name a file with --output, or pipe it on"
        )
    stream.buffer.write(content)
