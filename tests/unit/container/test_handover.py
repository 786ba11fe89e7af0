"""Messages with descriptors between the container's processes."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from serving.workers import handover, launcher


@pytest.mark.parametrize("size", [10, 500_000])
def test_a_message_arrives_with_its_files(size):
    ours, theirs = socket.socketpair()
    data = launcher.pack(["x" * size], {})
    with ours, theirs, open(os.devnull, "rb") as file:  # noqa: PTH123
        given = [file.fileno()] * 5
        sender = threading.Thread(target=handover.send, args=(theirs, data, given))
        sender.start()
        body, files = handover.receive(ours)
        sender.join()
        assert body == data[4:]
        assert [os.fstat(one).st_ino for one in files] == [os.fstat(file.fileno()).st_ino] * 5
        for number in files:
            os.close(number)


@pytest.mark.parametrize("data", [b"", b"x", b"\0\0\0\x09short"])
def test_half_a_message_is_none(data):
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(data)
        theirs.close()
        assert handover.receive(ours) == (b"", [])


def test_a_packet_is_one(monkeypatch):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        handover.send(theirs, b"first", [])
        theirs.sendall(b"second")
        assert [handover.packet(ours)[0] for _ in range(2)] == [b"first", b"second"]
        theirs.close()
        assert handover.packet(ours) == (b"", [])
