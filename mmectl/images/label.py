"""Which frameworks an image says that it serves: its label, or mmectl's own record of it.

An image without the label is somebody else's: nothing is known of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmectl.images import external, manifests
from mmectl.images.ecr import Ecr
from mmectl.images.local_build import read_entry

LABEL = "mmectl.frameworks"


def of_labels(labels: Mapping[str, str]) -> tuple[str, ...] | None:
    """The frameworks that the labels of an image name; None where they name none."""
    return tuple(labels.get(LABEL, "").split()) or None


def of_record(state_dir: Path, reference: str) -> tuple[str, ...] | None:
    """The frameworks of an image that was registered on this machine; None: it was not."""
    for path in sorted((state_dir / "images").glob("*.json")):
        entry = read_entry(path)
        if reference in entry.get("references", ()):
            return tuple(entry.get("frameworks", ())) or None
    return None


def of_ecr(ecr: Ecr, name: external.Name, platform: str) -> tuple[str, ...] | None:
    """The frameworks of an image in ECR; () without the label, None where it cannot be read.

    Two requests, three for an index of images. Raises ServiceError.
    """
    found = external.find(ecr, name)
    if found is not None and found.media_type in manifests.INDEXES:
        found = ecr.find(digest=manifests.member(found, platform))
    facts = ecr.facts(found) if found is not None else None
    return (of_labels(facts.labels) or ()) if facts is not None else None
