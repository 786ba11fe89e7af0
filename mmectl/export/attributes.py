"""What Terraform and CloudFormation take of each resource, as `attributes.json` has it.

``scripts/export_attributes.py`` writes the file, from the provider's and AWS's own schemas.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

REQUIRED = "required"
_FILE = Path(__file__).with_name("attributes.json")

Format = Literal["terraform", "cloudformation"]


@dataclass(frozen=True, slots=True)
class Known:
    """Attributes by resource type, nested; `source` says whose, `version` of what provider.

    A leaf names its kind (string, number, bool, list, map, value); the key ``required`` lists what
    must be given.
    """

    source: str
    resources: Mapping[str, Mapping[str, Any]]
    version: str = ""


@lru_cache(maxsize=2)
def known(format_: Format) -> Known:
    """What one format takes."""
    return Known(**json.loads(_FILE.read_bytes())[format_])
