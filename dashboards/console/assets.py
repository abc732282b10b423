"""The console's files: our page from this package, Plotly from its own wheel."""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
_PLOTLY = "plotly.js"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent: its type, its bytes plain and compressed, and its tag."""

    content_type: str
    body: bytes
    compressed: bytes
    etag: str


def load_assets() -> dict[str, Asset]:
    """Read and compress every file of the page, by name; takes half a second, so in a thread."""
    page = files("dashboards.console") / "page"
    own = {one.name: _asset(one) for one in page.iterdir() if _suffix(one.name) in _TYPES}
    return {**own, _PLOTLY: _asset(files("plotly") / "package_data" / "plotly.min.js")}


def _asset(file: Traversable) -> Asset:
    body = file.read_bytes()
    return Asset(
        content_type=_TYPES[_suffix(file.name)],
        body=body,
        compressed=gzip.compress(body, compresslevel=6, mtime=0),
        etag=hashlib.sha256(body).hexdigest()[:32],
    )


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]
