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


def test_it_counts_the_sockets_of_a_path(tmp_path):
    table = tmp_path / "table"
    row = "0000: 00000002 00000000 00010000 0001 01 1 {}\n"
    table.write_text("Num\n" + row.format("/t/a") + row.format("/t/b a") * 2 + row.format(""))
    assert handover.bound(table) == {"/t/a": 1, "/t/b a": 2}


@pytest.mark.parametrize("late", [True, False])
def test_half_a_message_leaves_no_file_open(late):
    ours, theirs = socket.socketpair()
    with ours, theirs, open(os.devnull, "rb") as file:  # noqa: PTH123
        before = os.listdir("/proc/self/fd")  # noqa: PTH208
        handover.send(theirs, b"\0\0\0\x09short", [file.fileno()] * 3)
        ours.settimeout(0.01)
        if late:
            with pytest.raises(OSError, match="timed out"):
                handover.receive(ours)
        else:
            theirs.shutdown(socket.SHUT_WR)
            assert handover.receive(ours) == (b"", [])
        assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
