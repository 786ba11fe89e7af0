"""What the hosts of models (host.py) and the entrypoint (server/socket_keeper.py) agree on."""

from __future__ import annotations

import mmap
import os
import socket
import struct
from collections.abc import Mapping, Sequence

from serving.workers import handover, launcher

# In the folder of the model sockets: where models are deposited. The answer to that has behind
# READY the number of the host that a model is to be handed to
DEPOSIT = "deposit"
_ANSWER_BYTES = 8
# Of the request to the fork server, before the host's number
ARGUMENT = "--host"
# What the host says on its line: give me the next model; and with a model's address and the number
# of a connection: I accepted it; it ended
NEXT, JOINED, PARTED = b"n", b"j", b"p"
# What DEPOSIT is told of a model: it shares the host; it has a worker; that lost its connections;
# the server has it no longer. The host is told the last, too
HOSTED, WORKER, PARTED_WORKER, WITHDRAWN = "hosted", "worker", "parted", "withdrawn"


# What the server adds to its workers' environment (serving/server/config.py): its codec hands
# payloads over as they are
FOR_WORKERS = {"MMS_DECODE_INPUT_REQUEST": "false"}


def address(arguments: Sequence[str]) -> str:
    """Tell where the server connects for a model, by the arguments that it gave for it."""
    given = launcher.options(list(arguments))
    return given.get("--sock-name") or given["--port"]


def number(descriptor: int) -> int:
    """Number a connection, the same in every process that has it."""
    return os.fstat(descriptor).st_ino


def front(host: int) -> str:
    """Name the socket where models are handed to a host, in the folder of the model sockets."""
    return f"host{host}"


def give(
    where: str,
    what: str,
    started: Sequence[str],
    environment: Mapping[bytes, bytes],
    files: list[int],
) -> int:
    """Tell a host's front or DEPOSIT of a model, `what` is to become of it, and give its sockets.

    `started` is what the server started its launcher with. Returns the number of the host that
    DEPOSIT chose, 0 where it had no choice. Raises OSError.
    """
    folder = launcher.options(list(started[1:]))["--tmp-dir"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(launcher.PATIENCE)
        line.connect(f"{folder}/{where}")
        handover.send(line, launcher.pack([what, *started], dict(environment)), files)
        answer = line.recv(_ANSWER_BYTES)
        if answer[:1] != launcher.READY:
            raise ConnectionError(f"{where} does not answer")
        return int(answer[1:] or b"0")


class Mark:
    """Says, in memory that outlives the host, which model it computes."""

    SIZE = 256

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._held = mmap.mmap(descriptor, self.SIZE)

    @classmethod
    def make(cls) -> Mark:
        """Make one that says nothing."""
        descriptor = os.memfd_create("mark")
        os.truncate(descriptor, cls.SIZE)
        return cls(descriptor)

    @property
    def name(self) -> str:
        """Where the server connects for that model; "" if none."""
        (length,) = struct.unpack("!H", self._held[:2])
        return self._held[2 : 2 + length].decode("utf-8", "replace")

    @name.setter
    def name(self, name: str) -> None:
        text = name.encode()[: self.SIZE - 2]
        self._held[: 2 + len(text)] = struct.pack("!H", len(text)) + text

    def close(self) -> None:
        """Give the memory up."""
        self._held.close()
        os.close(self.descriptor)
