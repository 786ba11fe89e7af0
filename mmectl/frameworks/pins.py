"""The versions of packages that mmectl's own image is made with, by its requirements."""

from __future__ import annotations

import re

from mmectl.base import packaged

_LINE = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def of(framework: str, package: str) -> tuple[str, ...]:
    """The pinned versions of a package, one for each range of Pythons; empty: none."""
    path = packaged.container() / "requirements" / f"{framework}.txt"
    try:
        pairs = _LINE.findall(path.read_text("utf-8"))
    except OSError:
        return ()
    return tuple(version for name, version in pairs if name == package)
