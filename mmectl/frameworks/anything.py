"""Any folder, for a container whose handler serves all models in its own way.

That is one with a handler of its owner's (`image.handler`), or one that mmectl did not make.
Nothing is known of the folder.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from mmectl.frameworks import base
from mmectl.frameworks.folders import ANYTHING


class Anything(base.Framework):
    """A folder of files."""

    name = ANYTHING
    files = ("*",)
    holds = "a model folder holds any files and folders"
    code = True
    nested = True

    def detect(self, folder: Path) -> bool:
        """Only who made the container knows."""
        del folder
        return False

    def look(
        self, place: base.Place, names: Sequence[str], *, bad: Collection[str], allow_code: bool
    ) -> base.Look:
        """Nothing is known of its files: whether they may be packed was looked at before."""
        del place, names, bad, allow_code
        return base.Look()
