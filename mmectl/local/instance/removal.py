"""Removes large folders in the background, so that nobody waits.

The folder gets another name at once, under which it is no instance's any more, and a process of its
own removes it, which outlives ours where that takes longer. What was left by a machine that
stopped meanwhile goes at the next start (`resume`).
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path

SECONDS = 2.0  # that a removal is waited for
_MARK = ".removed-"
_POLL = 0.005
_IN_BACKGROUND = 'exec rm -rf -- "$0" </dev/null >/dev/null 2>&1 &'


def remove(folder: Path, seconds: float = SECONDS) -> bool:
    """Remove a folder with all that is in it; False if that still goes on. Blocking."""
    gone = folder.with_name(f"{_MARK}{secrets.token_hex(8)}")
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return True
    except OSError:
        gone = folder
    return _remove(gone, seconds)


def _remove(folder: Path, seconds: float) -> bool:
    try:
        subprocess.run(
            ["sh", "-c", _IN_BACKGROUND, str(folder)],
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath)},  # without the platform's marks
            start_new_session=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        shutil.rmtree(folder, ignore_errors=True)
    deadline = time.monotonic() + seconds
    while there := os.path.lexists(folder):
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL)
    return not there


def resume(parent: Path) -> None:
    """Go on with removals that did not come to their end."""
    for folder in parent.glob(f"{_MARK}*"):
        _remove(folder, 0)
