"""One jar of all that comes before Multi Model Server's own classes: changed ones, and added ones.

It is written at each start, always the same to the byte and to its time, as an archive of classes
(class_archive.py) is only good for the very files that it was made with.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

from serving.server import additions, patch

_TIME = 315532800  # the oldest that a jar can tell: 1980


def write(
    server: Path,
    target: Path,
    additional: Callable[[Path], dict[str, bytes]] = additions.classes,
) -> bool:
    """Write the jar that goes before the `server`'s; False where that one is not changed."""
    added = additional(server)
    # the changed ones call an added one
    changed = patch.changed(server) if added else {}
    contents = {**added, **changed}
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(contents):
            archive.writestr(zipfile.ZipInfo(name), contents[name])
    os.utime(target, (_TIME, _TIME))
    return bool(changed)
