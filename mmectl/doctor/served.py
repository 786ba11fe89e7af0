"""Check: the image loads every uploaded model."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.base.errors import BuildError
from mmectl.doctor.values import Finding, Subject, ok, warn


def look(subject: Subject) -> Iterator[Finding]:
    """Models of frameworks that the image does not serve."""
    try:
        lines = list(subject.unserved())
    except BuildError:
        yield warn("not compared: there is no image yet", "", "mmectl build", code="not_built")
        return
    for line in lines:
        what, _, fix = line.partition("\n  next: ")
        yield warn(what, "", fix, code="not_served")
    if not lines:
        yield ok("the image loads the frameworks of all models, as far as both tell")
