"""The folders, socket and environment of an instance; removes leftovers."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mmectl.local import processes
from mmectl.local.instance import removal

RUN_MARK = "MMECTL_RUN_DIR"
SOCKET = "http.sock"
# Unix socket paths end at 107 bytes, and the server adds its own names
_LONGEST_RUN_DIR = 80


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders of one instance, which nobody but the platform's user may enter.

    `home` is the instance's folder, `base` its /opt/ml; `run` holds what its server makes, with a
    short path, as paths of Unix sockets must be.
    """

    home: Path
    base: Path
    run: Path

    @property
    def front(self) -> Path:
        """The folder of the server's socket, and of nothing else."""
        return self.run / "front"

    @property
    def socket(self) -> Path:
        """Where the server listens."""
        return self.front / SOCKET

    @classmethod
    def make(cls, home: Path) -> Workspace:
        """Make the directories; a run directory with too long a path goes to the system's tmp."""
        base = home / "ml"
        (base / "models").mkdir(mode=0o700, parents=True)
        run = home / "run"
        if len(os.fsencode(run)) <= _LONGEST_RUN_DIR:
            run.mkdir(mode=0o700)
        else:
            run.symlink_to(tempfile.mkdtemp(prefix="mme-"))
        made = cls(home, base.resolve(), run.resolve())
        made.front.mkdir(mode=0o700)
        return made


def remove_workspace(home: Path, seconds: float = removal.SECONDS) -> None:
    """Remove an instance's directories, the short one included; see `removal`."""
    with contextlib.suppress(OSError):
        shutil.rmtree((home / "run").readlink(), ignore_errors=True)
    removal.remove(home, seconds)


def sweep(folder: Path) -> int:
    """Remove what a platform that was killed left: processes and directories of instances.

    Returns how many processes were killed. Only for a platform that runs nothing yet.
    """
    count = 0
    for home in folder.glob("i-*"):
        count += processes.kill_carrying(f"{RUN_MARK}={(home / 'run').resolve()}")
        remove_workspace(home, 0)
    removal.resume(folder)
    return count
