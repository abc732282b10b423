"""What is wrong with a model's files, in words."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from inference.models.repository import ONNX_FILE, Kind, ModelConfig, kind_of
from inference.models.spec import ModelError
from inference.models.verify import Finding, Severity, verify
from inference.runtimes.onnx_graph import OnnxGraphModel

_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


def show(folder: Path, *, out: Console) -> int:
    """Print every finding; return 1 if the model cannot be served."""
    findings = findings_of(folder)
    for finding in findings:
        line = Text.assemble(
            (f"{finding.severity}  ", _STYLES[finding.severity]),
            (f"{finding.file}: ", "bold"),
            finding.message,
        )
        out.print(line, soft_wrap=True)
    if is_broken(findings):
        return 1
    told = ", with these warnings" if findings else ""
    out.print(Text(f"{folder} can be served{told}"), soft_wrap=True)
    return 0


def findings_of(folder: Path) -> list[Finding]:
    """Read a model of any kind to its end; ModelError where there is none at all."""
    if kind_of(folder, ModelConfig()) is Kind.GENERATE:
        return verify(folder)
    try:
        OnnxGraphModel(folder / ONNX_FILE)
    except ModelError as error:
        message = str(error).removeprefix(f"{folder / ONNX_FILE}: ")
        return [Finding(Severity.ERROR, ONNX_FILE, message)]
    return []


def is_broken(findings: list[Finding]) -> bool:
    """Tell whether a model cannot be served."""
    return any(finding.severity is Severity.ERROR for finding in findings)
