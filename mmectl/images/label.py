"""Which frameworks an image says that it serves: its label, or mmectl's own record of it.

An image without the label is somebody else's: nothing is known of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmectl.images import external, manifests
from mmectl.images.ecr import Ecr
from mmectl.images.local_build import read_entry
from mmectl.images.values import BUILT_WITH_LABEL

LABEL = "mmectl.frameworks"


@dataclass(frozen=True, slots=True)
class BuiltWith:
    """Which mmectl built an image, from a context of which digest."""

    version: str
    context: str


def built_with(text: str) -> BuiltWith | None:
    """What a label or record says: version and digest; None where it says nothing."""
    words = text.split()
    return BuiltWith(*words) if len(words) == 2 else None


def of_labels(labels: Mapping[str, str]) -> tuple[str, ...] | None:
    """The frameworks that the labels of an image name; None where they name none."""
    return tuple(labels.get(LABEL, "").split()) or None


def of_record(state_dir: Path, reference: str) -> tuple[str, ...] | None:
    """The frameworks of an image that was registered on this machine; None: it was not."""
    return tuple(_record(state_dir, reference).get("frameworks", ())) or None


def built_with_of_record(state_dir: Path, reference: str) -> BuiltWith | None:
    """The same of which mmectl built it."""
    return built_with(str(_record(state_dir, reference).get("built_with", "")))


def _record(state_dir: Path, reference: str) -> Mapping[str, Any]:
    entries = (read_entry(path) for path in sorted((state_dir / "images").glob("*.json")))
    return next((one for one in entries if reference in one.get("references", ())), {})


def of_ecr(ecr: Ecr, name: external.Name, platform: str) -> tuple[str, ...] | None:
    """The frameworks of an image in ECR; () without the label, None where it cannot be read.

    Two requests, three for an index of images. Raises ServiceError.
    """
    labels = labels_of_ecr(ecr, name, platform)
    return None if labels is None else of_labels(labels) or ()


def labels_of_ecr(ecr: Ecr, name: external.Name, platform: str) -> Mapping[str, str] | None:
    """The labels of an image in ECR, None where it cannot be read; as `of_ecr`."""
    found = external.find(ecr, name)
    if found is not None and found.media_type in manifests.INDEXES:
        found = ecr.find(digest=manifests.member(found, platform))
    facts = ecr.facts(found) if found is not None else None
    return facts.labels if facts is not None else None


def built_with_of_labels(labels: Mapping[str, str]) -> BuiltWith | None:
    """Which mmectl built an image, as its labels say."""
    return built_with(labels.get(BUILT_WITH_LABEL, ""))
