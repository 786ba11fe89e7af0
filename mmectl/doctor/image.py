"""Check: the image: label, architecture, user, size."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.doctor.values import Finding, Subject, fail, ok, warn
from mmectl.images.values import is_root

# SageMaker quotas: size of an image for real-time inference, compressed
LARGEST = 10 * 2**30


def look(subject: Subject) -> Iterator[Finding]:
    """CreateModel takes it, and it starts as SageMaker starts it."""
    facts = subject.image()  # where it is not built, or not there: raises
    for problem in facts.problems:
        yield fail(problem, facts.reference, "build it anew: mmectl build", code="image_checks")
    if facts.size is not None and facts.size > LARGEST:
        text = f"{facts.size / 1e9:.1f} GB compressed, SageMaker takes 10 GB"
        yield fail(text, facts.reference, "leave packages out of it", code="image_checks")
    if facts.user is not None and not is_root(facts.user):
        yield warn(
            f"it runs as user {facts.user}, SageMaker expects root",
            "models whose files only root may read would not load",
            "remove USER from the Dockerfile, and build again",
            code="image_user",
        )
    elif not facts.problems and facts.user is None:
        yield warn(
            "label and architecture cannot be read; not checked",
            facts.reference,
            code="not_checked",
        )
    elif not facts.problems:
        size = "" if facts.size is None else f", {facts.size / 1e6:.0f} MB"
        yield ok(f"{facts.reference}{size}")
