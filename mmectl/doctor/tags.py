"""Check: the number of tags."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.doctor.values import Finding, Subject, fail, ok
from mmectl.spec.tags import problem


def look(subject: Subject) -> Iterator[Finding]:
    """aws.tags and mmectl's own together are no more than SageMaker takes."""
    refusal = problem(subject.wanted.tags)
    if refusal is None:
        yield ok(f"{subject.wanted.tags} in aws.tags")
    else:
        yield fail(f"aws.tags {refusal}", "CreateModel is refused", "remove some", code="tags")
