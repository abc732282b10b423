"""Write the pages of docs/ that follow from code: the metrics and the settings."""

from pathlib import Path

from pydantic import BaseModel

from telemetry.catalog import CATALOG, Metric
from warmfront.config import Config

DOCS = Path(__file__).parent


def metrics_page() -> str:
    """Return the metric reference as Markdown."""
    rows = "\n".join(_row(metric) for metric in CATALOG.values())
    return (
        "# Metrics\n\n"
        "Every metric that Warmfront emits, written from `telemetry/catalog.py` by "
        "`make generate`.\n\n"
        "| metric | kind | unit | labels | meaning |\n| --- | --- | --- | --- | --- |\n"
        f"{rows}\n"
    )


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
    return f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {metric.help} |"


def settings_page() -> str:
    """Return the settings with their defaults as a TOML file, in Markdown."""
    values = {name: getattr(Config(), name) for name in Config.model_fields}
    sections = "\n\n".join(
        _section(name, value) for name, value in values.items() if isinstance(value, BaseModel)
    )
    return (
        "# Settings\n\n"
        "Warmfront reads `warmfront.toml` where it is started, or the file given with "
        "`--config`; what is not set has the value shown here. Written from "
        "`warmfront/config.py` by `make generate`.\n\n"
        f'```toml\nstate_dir = "{Config().state_dir}"  # history, decisions, logs, process table'
        f"\n\n{sections}\n```\n"
    )


def _section(name: str, section: BaseModel) -> str:
    about = (type(section).__doc__ or "").strip()
    lines = [_setting(key, getattr(section, key)) for key in type(section).model_fields]
    return "\n".join([f"[{name}]  # {about}", *lines])


def _setting(key: str, value: object) -> str:
    if value is None:
        return f"# {key} = …"
    if isinstance(value, bool):
        return f"{key} = {str(value).lower()}"
    return f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}"


def pages() -> dict[str, str]:
    """Return every generated page by its file name."""
    return {"metrics.md": metrics_page(), "settings.md": settings_page()}


if __name__ == "__main__":
    for name, text in pages().items():
        (DOCS / name).write_text(text)
