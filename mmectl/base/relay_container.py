"""A container beside another one, whose network it is: the only way to the server in there.

A container that joins another's network shares its loopback interface. The first one has nothing
besides that and runs `relay --only`; the server's container joins it, so that its ports can be
reached through the relay's Unix socket and by nothing else. The relay needs no program of the
server's image: it is this machine's Python, whose folders are mounted into an empty image. Pure,
but for the folders that `mounts` looks for.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

from mmectl.base import relay

IMAGE = "mmectl-relay:1"  # empty; made where the engine has none
HOST = "server"  # how both are called in their network
HOSTS = {HOST: relay.EVERYBODY}
FRONT = "/run/mmectl"  # where the folder of the socket is mounted
MEMORY = 128 << 20
PIDS = 64
_SYSTEM = ("/usr", "/lib", "/lib64", "/nix", "/gnu")


def empty() -> bytes:
    """A tar with nothing in it, of which an engine makes an image."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w"):
        pass
    return held.getvalue()


def mounts() -> dict[str, str]:
    """Folders of this machine that its Python needs, to be read alone: target -> source."""
    program = Path(os.path.realpath(sys.executable))
    found = {name: os.path.realpath(name) for name in _SYSTEM if Path(name).is_dir()}
    for folder in (program.parent.parent, Path(sys.base_prefix).resolve()):
        if not any(folder.is_relative_to(known) for known in found):
            found[str(folder)] = str(folder)
    return found


def command(name: str) -> list[str]:
    """What the container runs; `name` is the socket's in its folder.

    The text goes along, as the file may be where the container's user cannot read.
    """
    source = Path(relay.__file__).read_text("utf-8")
    program = os.path.realpath(sys.executable)
    return [program, "-I", "-S", "-c", source, "--only", f"{FRONT}/{name}"]


def user() -> str:
    """As whom: ours, so that it may do no more than we."""
    return f"{os.getuid()}:{os.getgid()}"
