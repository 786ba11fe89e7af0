"""Messages between the container's processes: bytes of `launcher.pack` with open descriptors."""

from __future__ import annotations

import array
import socket

from serving.workers import launcher

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
    """Read one message; no bytes where the other end closed the line or sent something else."""
    data, files = packet(line)
    size = int.from_bytes(data[:4], "big")
    body = bytearray(data[4:])
    while len(data) >= 4 and len(body) < size:
        more = line.recv(min(size - len(body), 2**16))
        if not more:
            break
        body += more
    return (bytes(body) if len(body) == size else b""), files


def send(line: socket.socket, message: bytes, files: list[int]) -> None:
    """Send one message with descriptors; raises OSError."""
    rights = array.array("i", files)
    sent = line.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    if sent < len(message):  # a line of packets would send an empty one
        line.sendall(message[sent:])
