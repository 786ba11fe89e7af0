"""Locales that a model names and the image has not: text pipelines name en_US, to lower texts.

glibc's C.UTF-8 lowers and raises all letters of Unicode, as the locales of most languages do; it
stands in for them under their name (LOCPATH of locale(7)).
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LACKS = re.compile(r"Failed to construct locale with name:(([a-z]{2,3})_[A-Z]{2}[A-Za-z0-9.-]*)")
_OF_THEIR_OWN = {"tr", "az", "lt"}  # their letters have other capitals
_STAND_INS = (Path("/usr/lib/locale/C.utf8"), Path("/usr/lib/locale/C.UTF-8"))


def lacking(said: str) -> str | None:
    """The locale that an error says is not there; None where it says another thing."""
    found = _LACKS.search(said)
    return found[1] if found and found[2] not in _OF_THEIR_OWN else None


@contextlib.contextmanager
def standing_in(name: str) -> Iterator[None]:
    """Let C.UTF-8 be found by that name meanwhile."""
    there = next((path for path in _STAND_INS if path.is_dir()), None)
    if there is None:
        yield
        return
    before = os.environ.get("LOCPATH")
    with tempfile.TemporaryDirectory(prefix="mmectl-locale-") as folder:
        Path(folder, name).symlink_to(there)
        os.environ["LOCPATH"] = folder
        try:
            yield
        finally:
            os.environ.pop("LOCPATH")
            if before is not None:
                os.environ["LOCPATH"] = before
