"""The sockets of models outlive the host and the workers that they are for."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving.server.socket_keeper import MODELS_A_HOST, SocketKeeper
from serving.workers import handover, host_line, launcher

# sockets with a path, and those that come with a message
pytestmark = pytest.mark.allow_sockets


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Keeping:
    """A keeper, with a fork server and hosts that the test plays."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, Clock()
        self.said: list[str] = []
        self.chosen: list[int] = []  # hosts, as those were told who deposited a model
        self.fork_server = socket.socket(socket.AF_UNIX)
        self.fork_server.bind(str(folder / launcher.SOCKET))
        self.fork_server.listen(8)
        self.fork_server.settimeout(5)
        self.registered: set[str] = set()
        self.keeper = SocketKeeper(
            folder,
            {"PATH": "/bin"},
            self.said.append,
            self.registered.__contains__,
            self.clock,
            hosts=2,
        )
        self.held = contextlib.ExitStack()
        self.held.enter_context(self.fork_server)
        self.held.callback(self.keeper.close)

    def act(self) -> None:
        """Let the keeper do all that is due."""
        poll = select.poll()
        for descriptor in self.keeper.descriptors():
            poll.register(descriptor, select.POLLIN)
        self.keeper.act({descriptor for descriptor, _ in poll.poll(0)})

    def started(self, name: str) -> list[str]:
        """What the server starts the launcher of a model with."""
        address = str(self.folder / name)
        return ["launcher.py", "--sock-name", address, "--model-name", name,
                "--model-path", str(self.folder), "--tmp-dir", str(self.folder)]  # fmt: skip

    def deposit(self, name: str, what: str) -> tuple[socket.socket, socket.socket]:
        """Have a model kept: its listening socket, and the server's end of its connection.

        Of a worker, its own end.
        """
        listener = self.held.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(self.folder / name))
        listener.listen(8)
        server = self.held.enter_context(socket.socket(socket.AF_UNIX))
        server.connect(str(self.folder / name))
        server.settimeout(5)
        client, _ = listener.accept()
        if what == host_line.WORKER:  # which keeps its connections itself
            self.give(what, name, [listener.fileno()])
            return listener, self.held.enter_context(client)
        with client:
            self.give(what, name, [listener.fileno(), client.fileno()])
        return listener, server

    def give(self, what: str, name: str, files: list[int]) -> None:
        """Tell the keeper of a model, as the fork server's children do."""
        arguments = (host_line.DEPOSIT, what, self.started(name), {}, files)
        giver = threading.Thread(target=lambda: self.chosen.append(host_line.give(*arguments)))
        giver.start()
        self.keeper.act({self.keeper.descriptors()[0]})
        giver.join()

    def host(self, number: int = 0) -> socket.socket:
        """Be the host that the fork server was asked for: our end of its line."""
        request, _ = self.fork_server.accept()
        with request:
            body, files = handover.receive(request)
        assert launcher.unpack(body) == ([host_line.ARGUMENT, str(number)], {})
        *others, line, mark = [socket.dup(file) for file in files]
        for file in (*files, *others):
            socket.close(file)
        self.mark = host_line.Mark(mark)
        self.held.callback(self.mark.close)
        made = self.held.enter_context(socket.socket(fileno=line))
        made.settimeout(5)
        return made

    def next(self, line: socket.socket) -> tuple[str, int]:
        """Ask for the next model: its name, and how many sockets it has."""
        line.sendall(host_line.NEXT)
        self.act()
        body, files = handover.receive(line)
        words, _ = launcher.unpack(body)
        for file in files:
            socket.close(file)
        return (launcher.options(words[2:])["--model-name"] if words else ""), len(files)


@pytest.fixture
def keeping() -> Iterator[Keeping]:
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    made = Keeping(folder)
    with made.held:
        yield made
    shutil.rmtree(folder)


def address(keeping: Keeping, name: str) -> bytes:
    return str(keeping.folder / name).encode()


def test_a_host_is_forked_for_the_first_model_and_given_all(keeping):
    assert keeping.keeper.seconds() is None
    keeping.deposit("a", host_line.HOSTED)
    line = keeping.host()
    keeping.deposit("b", host_line.HOSTED)
    # b came later: the host has it from the fork server
    assert [keeping.next(line) for _ in range(2)] == [("a", 2), ("", 0)]


def test_many_models_have_a_further_host(keeping):
    for number in range(MODELS_A_HOST + 2):
        keeping.deposit(f"m{number}", host_line.HOSTED)
    assert keeping.chosen == [0] * MODELS_A_HOST + [1, 1]
    first, second = keeping.host(), keeping.host(1)
    assert [keeping.next(second)[0] for _ in range(2)] == ["m8", ""]  # m9 comes from a launcher
    second.close()
    keeping.clock.now += 1
    keeping.act()
    assert keeping.said == ["the host of models died: starting another"]
    second = keeping.host(1)
    assert {keeping.next(second)[0] for _ in range(3)} == {"m8", "m9", ""}
    first.setblocking(False)
    with pytest.raises(BlockingIOError):  # it is told of none of that
        first.recv(1)
    keeping.give(host_line.WITHDRAWN, "m8", [])
    keeping.deposit("late", host_line.HOSTED)
    assert keeping.chosen[-1] == 1


def test_the_host_died_of_nothing_known(keeping):
    _, server = keeping.deposit("a", host_line.HOSTED)
    keeping.host().close()
    keeping.act()
    assert keeping.said == ["the host of models died: starting another"]
    keeping.clock.now += 1
    keeping.act()
    assert keeping.next(keeping.host()) == ("a", 2)
    server.setblocking(False)
    with pytest.raises(BlockingIOError):  # the server has not noticed
        server.recv(1)


def test_who_it_died_of_is_told_and_leaves_the_second_time(keeping):
    _, server = keeping.deposit("a", host_line.HOSTED)
    _, other = keeping.deposit("b", host_line.HOSTED)
    found = []
    for _ in range(2):
        line = keeping.host()
        keeping.mark.name = str(keeping.folder / "a")
        line.close()
        keeping.clock.now += 1
        keeping.act()
        assert server.recv(1) == b""
        line = keeping.host()
        found.append({keeping.next(line)[0] for _ in range(3)})
        line.close()
        keeping.clock.now += 1
        keeping.act()
    assert found == [{"a", "b", ""}, {"b", ""}]
    assert "served a: starting another" in keeping.said[0]
    assert "served a: it gets a process of its own" in keeping.said[2]
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(1)


def test_connections_come_and_go(keeping):
    keeping.deposit("a", host_line.HOSTED)
    line = keeping.host()
    ours, theirs = socket.socketpair()
    number = host_line.number(ours.fileno())
    with theirs:
        with ours:
            handover.send(line, host_line.JOINED + address(keeping, "a"), [ours.fileno()])
            keeping.act()
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):  # it is kept
            theirs.recv(1)
        line.sendall(host_line.PARTED + address(keeping, "a") + b"\0%d" % number)
        keeping.act()
        assert theirs.recv(1) == b""


def test_a_model_is_withdrawn(keeping):
    listener, server = keeping.deposit("a", host_line.HOSTED)
    line = keeping.host()
    assert keeping.next(line) == ("a", 2)
    listener.close()
    keeping.give(host_line.WITHDRAWN, "a", [])
    assert server.recv(1) == b""
    words, _ = launcher.unpack(handover.receive(line)[0])
    assert words == [host_line.WITHDRAWN, *keeping.started("a")]
    with pytest.raises(FileNotFoundError), socket.socket(socket.AF_UNIX) as late:
        late.connect(str(keeping.folder / "a"))


@pytest.mark.parametrize("what", [host_line.HOSTED, host_line.WORKER])
@pytest.mark.parametrize("registered", [True, False])
def test_the_server_is_asked_for_a_model_without_connections(keeping, what, registered):
    if registered:
        keeping.registered.add("a")
    listener, end = keeping.deposit("a", what)
    listener.close()
    keeping.act()
    end.close()
    if what == host_line.HOSTED:
        line = keeping.host()
        keeping.next(line)
        (number,) = keeping.keeper._kept[str(keeping.folder / "a")].clients
        line.sendall(host_line.PARTED + address(keeping, "a") + b"\0%d" % number)
        keeping.act()
    else:
        keeping.give(host_line.PARTED_WORKER, "a", [])
    assert keeping.keeper.seconds() == 1.0
    keeping.clock.now += 1
    keeping.act()  # a child asks
    if not registered:
        keeping.keeper.act({keeping.keeper.descriptors()[0]})
    os.wait()
    assert (keeping.folder / "a").exists() == registered


def test_a_model_that_is_loaded_again_has_new_sockets(keeping):
    _, before = keeping.deposit("a", host_line.HOSTED)
    words = keeping.started("a")
    words[2] = str(keeping.folder / "again")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(words[2])
        given = (host_line.DEPOSIT, host_line.HOSTED, words, {}, [listener.fileno()])
        giver = threading.Thread(target=host_line.give, args=given)
        giver.start()
        keeping.keeper.act({keeping.keeper.descriptors()[0]})
        giver.join()
    assert before.recv(1) == b""


def test_a_host_that_dies_at_once_is_not_forked_in_a_loop(keeping):
    keeping.deposit("a", host_line.HOSTED)
    waits = []
    for _ in range(9):
        keeping.host().close()
        keeping.act()
        waits.append(keeping.keeper.seconds())
        keeping.clock.now += 10
        keeping.act()
    assert waits[0] == pytest.approx(0.05)
    assert waits == sorted(waits)
    assert waits[-1] == 5.0


def test_the_mark_outlives_a_process():
    mark = host_line.Mark.make()
    assert mark.name == ""
    other = host_line.Mark(mark.descriptor)
    other.name = "/run/ü" + "x" * 300
    assert mark.name.startswith("/run/üxxx")
    other.name = ""
    assert mark.name == ""
