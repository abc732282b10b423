"""Results as JSON."""

import json
from collections.abc import Mapping


def json_text(document: Mapping[str, object]) -> str:
    """Return the document as indented text; NaN is an error, since JSON has none."""
    return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
