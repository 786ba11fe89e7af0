"""`mmectl doctor`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from mmectl.base.text import counted
from mmectl.commands.common import command
from mmectl.commands.subject import subject_of
from mmectl.console.output import Result
from mmectl.doctor.checks import CHECKS, examine

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.doctor.values import Finding

WIDTH = 80
_HANG = " " * 20


@command(
    begins=True,
    examples="mmectl doctor\nmmectl doctor --platform aws\nmmectl doctor --json",
)
def doctor(app: App) -> Result:
    """Check account, permissions, image and models before AWS refuses them.

    Each line is ok, warn or fail, and below it why, and what to type. What AWS
    does not let us look at is a warning. Exit code 1: a check failed. Nothing is
    changed.
    """
    made = list(examine(subject_of(app)))
    skipped = [check.name for check in CHECKS if app.local and not check.on_local]
    rows = [(one.check, finding) for one in made for finding in one.findings]
    count = {word: sum(f.severity == word for _, f in rows) for word in ("ok", "warn", "fail")}
    data = {
        "checks": [{"check": name, **asdict(finding)} for name, finding in rows],
        "skipped": skipped,
        **count,
    }
    view = [line for name, finding in rows for line in _lines(name, finding)]
    if skipped:
        view.append(f"not on the embedded platform: {', '.join(skipped)}")
    view.append(
        f"{counted(count['ok'], 'check')} ok, {count['warn']} to look at, {count['fail']} failed"
    )
    return Result(data, view, exit_code=1 if count["fail"] else 0)


def _lines(name: str, finding: Finding) -> Iterator[str]:
    """A finding on lines of 80 columns; what is to type stays on one line, to be copied."""
    yield from _wrapped(finding.what, f"{finding.severity:<5} {name:<12}  ")
    yield from _wrapped(finding.why, _HANG)
    if finding.fix:
        yield f"{_HANG}next: {finding.fix}"


def _wrapped(text: str, head: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=head,
        subsequent_indent=_HANG,
        break_long_words=False,
        break_on_hyphens=False,
    )
