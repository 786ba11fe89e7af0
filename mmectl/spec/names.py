"""Names that come from content: `<endpoint>-<digest8>`. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_NAME = re.compile(r".+-[0-9a-f]{8}")


def content_name(endpoint: str, content: Mapping[str, Any]) -> str:
    """`<endpoint>-<digest8>`, at most 63 characters as SageMaker's names are."""
    text = json.dumps([endpoint, content], sort_keys=True, separators=(",", ":"))
    return f"{stem(endpoint)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def stem(endpoint: str) -> str:
    """What the names of an endpoint's parts begin with."""
    return endpoint[:54].rstrip("-")


def has_digest(name: str) -> bool:
    """Whether a name has the form of those that come from content."""
    return _NAME.fullmatch(name) is not None
