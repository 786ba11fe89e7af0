"""Check: there is a model to serve."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.doctor.values import Finding, Subject, fail, ok


def look(subject: Subject) -> Iterator[Finding]:
    """CreateModel refuses an empty prefix."""
    where = subject.wanted.location.url
    if subject.has_models():
        yield ok(f"there are some under {where}")
        return
    yield fail(
        f"no models found under {where}: SageMaker needs at least one",
        "",
        "mmectl upload --all",
        code="no_models",
    )
