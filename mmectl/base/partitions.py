"""AWS partitions and their differences, from botocore's data."""

from __future__ import annotations

import difflib
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
# between which the words of a region are a slip; the next region may lie at any of them
_POINTS = ["central", "north", "south", "east", "west"]
_POINTS += [f"{one}{side}" for one in ("north", "south") for side in ("east", "west")]
# regions of partitions that are younger than botocore
_REGION = re.compile(r"[a-z]{2,8}(-[a-z0-9]+)+-[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class Partition:
    """Regions with one root: `name` stands in ARNs, `suffix` ends host names."""

    name: str
    suffix: str
    console: str
    pattern: str
    regions: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def known() -> tuple[Partition, ...]:
    """Every partition."""
    text = (resources.files("botocore") / "data" / "partitions.json").read_text("utf-8")
    return tuple(map(_partition, json.loads(text)["partitions"]))


def _partition(item: dict[str, Any]) -> Partition:
    console = _CONSOLES.get(item["id"], "console.aws.amazon.com")
    regions = tuple(name for name in item["regions"] if not name.endswith("-global"))
    suffix = item["outputs"]["dnsSuffix"]
    return Partition(item["id"], suffix, console, item["regionRegex"], regions)


@lru_cache(maxsize=64)
def of(region: str) -> Partition:
    """The partition of a region, also of one that botocore has not heard of; else `aws`."""
    default = next(each for each in known() if each.name == DEFAULT)
    return next((each for each in known() if re.fullmatch(each.pattern, region)), default)


def is_region(text: str) -> bool:
    """Whether it may be a region's name."""
    known_form = any(re.fullmatch(each.pattern, text) for each in known())
    return known_form or _REGION.fullmatch(text) is not None


def is_known(region: str) -> bool:
    """Whether botocore's data name the region; a younger one they do not."""
    return region in _names()


def misspelled(region: str) -> str | None:
    """The region that is meant by one with a word that is nearly a point of the compass."""
    if is_known(region):
        return None
    wrong = [word for word in region.split("-")[1:-1] if word not in {*_words(), *_POINTS}]
    if not any(difflib.get_close_matches(word, _POINTS, n=1, cutoff=0.75) for word in wrong):
        return None
    return near(region)


def near(region: str) -> str | None:
    """The known region whose name comes nearest, several joined by ``or``; None: none does."""
    close = difflib.get_close_matches(region, _names(), n=3, cutoff=0.75)
    likeness = {one: difflib.SequenceMatcher(a=one, b=region).ratio() for one in close}
    most = max(likeness.values(), default=0.0)
    return " or ".join(one for one, like in likeness.items() if like == most) or None


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    return tuple(name for each in known() for name in each.regions)


@lru_cache(maxsize=1)
def _words() -> frozenset[str]:
    return frozenset(word for name in _names() for word in name.split("-"))


@lru_cache(maxsize=1)
def suffixes() -> str:
    """A regular expression for the end of AWS's host names."""
    found = sorted({each.suffix for each in known()}, key=len, reverse=True)
    return "(?:" + "|".join(map(re.escape, found)) + ")"
