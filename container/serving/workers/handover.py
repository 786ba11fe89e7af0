"""Sockets between the container's processes: which there are, and messages with descriptors.

A message is bytes of `launcher.pack`.
"""

from __future__ import annotations

import array
import os
import socket
from collections import Counter
from pathlib import Path

from serving.workers import launcher

LENGTH = 4  # bytes before a body, which tell its size
_MOST_FILES = 8 + launcher.MOST_TOGETHER


def packet(line: socket.socket) -> tuple[bytes, list[int]]:
    """Read what one call brings, with its descriptors; no bytes at the line's end."""
    rights = array.array("i")
    data, ancillary, _, _ = line.recvmsg(2**16, socket.CMSG_SPACE(_MOST_FILES * rights.itemsize))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            rights.frombytes(content[: len(content) // rights.itemsize * rights.itemsize])
    return data, list(rights)


def receive(line: socket.socket) -> tuple[bytes, list[int]]:
    """Read one message; nothing where the other end closed the line or sent something else.

    Raises OSError. The descriptors are the caller's to close, where there is a message.
    """
    data, files = packet(line)
    body = None
    try:
        body = _rest(line, data)
    finally:
        if body is None:
            for file in files:
                os.close(file)
    return (b"", []) if body is None else (body, files)


def _rest(line: socket.socket, data: bytes) -> bytes | None:
    """The body of a message that begins so; None where it does not come to its end."""
    if len(data) < LENGTH:
        return None
    size, body = int.from_bytes(data[:LENGTH], "big"), bytearray(data[LENGTH:])
    while len(body) < size:
        more = line.recv(min(size - len(body), 2**16))
        if not more:
            return None
        body += more
    return bytes(body) if len(body) == size else None


def send(line: socket.socket, message: bytes, files: list[int]) -> None:
    """Send one message with descriptors; raises OSError."""
    rights = array.array("i", files)
    sent = line.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    if sent < len(message):  # a line of packets would send an empty one
        line.sendall(message[sent:])


def bound(table: Path = Path("/proc/net/unix")) -> Counter[str]:
    """Count the sockets of each path: the listening one, and one a connection."""
    rows = (row.split(maxsplit=7) for row in table.read_text("utf-8", "replace").splitlines())
    return Counter(row[7] for row in rows if len(row) == 8)
