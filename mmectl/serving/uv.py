"""Running uv, which installs the serving environment, and putting its failures into words."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from mmectl.errors import BuildError

_OFFLINE = (
    "error sending request",
    "dns error",
    "failed to lookup address",
    "connection refused",
    "network is unreachable",
    "timed out",
    "the network was disabled",
)


def find_uv() -> str:
    """Find the uv program: beside this Python, in the uv package, or on the PATH."""
    own = Path(sysconfig.get_path("scripts"), "uv")
    if own.is_file():
        return str(own)
    try:
        import uv
    except ImportError:
        found = shutil.which("uv")
    else:
        try:
            found = str(uv.find_uv_bin())
        except FileNotFoundError:
            found = shutil.which("uv")
    if found is None:
        raise BuildError(
            "cannot make the serving environment: uv is not installed",
            hint="pip install 'mmectl[local]'",
        )
    return found


class Uv:
    """Runs uv with the user's own settings (UV_*, uv.toml).

    `held` is a descriptor that uv inherits: the lock of the build lasts as long as uv runs,
    also when we are killed.
    """

    def __init__(self, program: str, held: int | None = None) -> None:
        self.program = program
        self._held = held

    def install(self, folder: Path, *arguments: str) -> None:
        """Install packages without their dependencies: the list is complete."""
        python = str(folder / "bin" / "python")
        self.run("pip", "install", "--no-deps", "--python", python, *arguments)

    def run(self, *arguments: str) -> None:
        """Run uv; raises BuildError with its last words."""
        done = subprocess.run(
            [self.program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            pass_fds=() if self._held is None else (self._held,),
            env=uv_environment(os.environ),
        )
        if done.returncode != 0:
            raise explain(arguments, done.stderr)


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Make uv's environment: the user's own, with pip's index where uv has none of its own."""
    made = {name: value for name, value in environ.items() if name != "VIRTUAL_ENV"}
    index = environ.get("PIP_INDEX_URL")
    if index and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & set(environ):
        made["UV_DEFAULT_INDEX"] = index
    return made


def explain(arguments: tuple[str, ...], output: str) -> BuildError:
    """Put a failure of uv into words."""
    lowered = output.lower()
    last = " ".join(line.strip() for line in output.strip().splitlines()[-4:]) or "no output"
    if os.strerror(errno.ENOSPC).lower() in lowered:
        return BuildError(
            f"cannot make the serving environment: the disk is full: {last}",
            hint="free about 1 GB, or move uv's cache with UV_CACHE_DIR",
        )
    if any(sign in lowered for sign in _OFFLINE):
        return BuildError(
            f"cannot make the serving environment: the package index does not answer: {last}",
            hint="check the connection, or name a mirror with UV_DEFAULT_INDEX",
        )
    return BuildError(
        f"cannot make the serving environment: uv {arguments[0]} failed: {last}",
        hint="mmectl build --verbose",
    )
