"""Checks whether a port is free and names the program that has it; Linux, standard library only."""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path

from mmectl.base.errors import PlatformError

PROC = Path("/proc")
LISTENING = "0A"  # the state TCP_LISTEN in /proc/net/tcp


def check_free(port: int) -> None:
    """Raise PlatformError, naming who has it, when 127.0.0.1:<port> cannot be listened on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError as error:
            raise PlatformError(
                f"the local platform cannot be started: {_why(port, error)}",
                hint="stop that program, or set local.port to another port (0 takes any)",
                code="platform_port",
            ) from None


def _why(port: int, error: OSError) -> str:
    if error.errno != errno.EADDRINUSE:
        return f"port {port} cannot be used: {error.strerror}"
    return f"port {port} is taken by {holder(port) or 'another program'}"


def holder(port: int) -> str | None:
    """Who listens on the port, ``python3 (pid 42)``; None where that cannot be seen."""
    inodes = listening(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in PROC.iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if any(str(link.readlink()) in wanted for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None


def listening(port: int) -> set[str]:
    """The inodes of the sockets that listen on the port."""
    found = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (PROC / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found
