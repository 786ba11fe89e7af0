"""AWS partitions and their differences, from botocore's data."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

DEFAULT = "aws"
# what botocore does not know: where a partition's console is
_CONSOLES = {
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
    "aws-eusc": "console.amazonaws-eusc.eu",
    "aws-iso": "console.c2shome.ic.gov",
    "aws-iso-b": "console.sc2shome.sgov.gov",
    "aws-iso-e": "console.csphome.adc-e.uk",
    "aws-iso-f": "console.csphome.hci.ic.gov",
}
# regions of partitions that are younger than botocore
_REGION = re.compile(r"[a-z]{2,8}(-[a-z0-9]+)+-[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class Partition:
    """Regions with one root: `name` stands in ARNs, `suffix` ends host names."""

    name: str
    suffix: str
    console: str
    pattern: str


@lru_cache(maxsize=1)
def known() -> tuple[Partition, ...]:
    """Every partition."""
    text = (resources.files("botocore") / "data" / "partitions.json").read_text("utf-8")
    return tuple(map(_partition, json.loads(text)["partitions"]))


def _partition(item: dict[str, Any]) -> Partition:
    console = _CONSOLES.get(item["id"], "console.aws.amazon.com")
    return Partition(item["id"], item["outputs"]["dnsSuffix"], console, item["regionRegex"])


@lru_cache(maxsize=64)
def of(region: str) -> Partition:
    """The partition of a region, also of one that botocore has not heard of; else `aws`."""
    default = next(each for each in known() if each.name == DEFAULT)
    return next((each for each in known() if re.fullmatch(each.pattern, region)), default)


def is_region(text: str) -> bool:
    """Whether it may be a region's name."""
    known_form = any(re.fullmatch(each.pattern, text) for each in known())
    return known_form or _REGION.fullmatch(text) is not None


@lru_cache(maxsize=1)
def suffixes() -> str:
    """A regular expression for the end of AWS's host names."""
    found = sorted({each.suffix for each in known()}, key=len, reverse=True)
    return "(?:" + "|".join(map(re.escape, found)) + ")"
