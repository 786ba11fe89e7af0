"""What Multi Model Server starts for a model where workers start warm: its worker server.

It runs in place of mms/model_service_worker.py (see server_home.py) and does as that one does: it
listens on the model's socket, and for each connection a worker is forked, from the fork server
(prefork.py), which has everything loaded, instead of from itself. The first connections of a
model go there together, for one process that holds it (worker.py). Where the fork server does not
answer a worker is forked here for each, as the original would do it. This program stays as small
as a Python can be, one beside each model: no imports but of C modules that Python holds already.
"""

from __future__ import annotations

import _blake2
import _socket
import os
import sys

TYPE_CHECKING = False  # of typing, which takes as long to import as all of this

# The fork server's socket, in the folder of the model sockets (--tmp-dir)
SOCKET = "prefork"
# A pipe beside it, through which shells ask for launchers (serving/server/launches.py)
PIPE = "launch"
# That of a model template (template.py), beside it
TEMPLATE = "template-{}.sock"
# Variable: for each framework the endings of the files that models with one template have the same
TEMPLATE_FILES = "MMECTL_TEMPLATE_FILES"
# Variable: MODEL for a process of its own for each model, as runtimes.folders has it
ISOLATION, MODEL = "MMECTL_ISOLATION", "model"
NO_PART = "."  # hidden files are no part of a model
PATIENCE = 20.0  # seconds for an answer; a fork server that just started needs 0.5 to 5
TRIES = 3
# The server connects all workers of a model at once; those that come later load it themselves
TOGETHER_SECONDS = 0.5
MOST_TOGETHER = 64  # of the 253 descriptors that one message can take
WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS"
HERE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - no pathlib, see above
ROOT = os.path.dirname(os.path.dirname(HERE))  # noqa: PTH120
HANDLER = f"{ROOT}/model_handler.py:handle"
# Ready to begin; do so. Ready, and the launcher, whose socket is kept (socket_keeper.py), may leave
# once the model is loaded: until then the server reads what is printed through it
READY, GO, KEPT = b"+", b"g", b"k"
_SCM_RIGHTS, _INTS = 1, 4


def _stay() -> None:
    """What is to be done before this program leaves: nothing."""


if TYPE_CHECKING:
    from collections.abc import Callable

    Leave = Callable[[], None]


def options(arguments: list[str]) -> dict[str, str]:
    """Read ``--name value`` pairs, the only kind that the server gives."""
    return dict(zip(arguments[::2], arguments[1::2]))  # noqa: B905 - Python 3.8


def pack(arguments: list[str], environment: dict[bytes, bytes]) -> bytes:
    """Put a worker's arguments and environment into bytes, their length first."""
    words = [os.fsencode(word) for word in arguments]
    words += [name + b"=" + value for name, value in environment.items()]
    body = b"\0".join([b"%d" % len(arguments), *words])
    return len(body).to_bytes(4, "big") + body


def template(model: str, groups: str) -> str:
    """Name the template of a model folder, by the content of its template files; "" if none.

    `groups` of endings are separated by blanks, the endings by commas. The first of which there is
    a file for each ending counts.
    """
    try:
        held = [n for n in os.listdir(model) if not n.startswith(NO_PART)]  # noqa: PTH208 - see listen
        for group in groups.split():
            endings = tuple(group.split(","))
            names = sorted(n for n in held if n.endswith(endings))
            if len(names) == len(endings):
                return _digest(model, names)
    except OSError:
        pass
    return ""


def _digest(folder: str, names: list[str]) -> str:
    found = _blake2.blake2b(digest_size=16)
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:  # noqa: PTH118, PTH123
            content = file.read()
        found.update(b"%d " % len(content) + content)
    return found.hexdigest()


def unpack(body: bytes) -> tuple[list[str], dict[bytes, bytes]]:
    """Take apart what `pack` put together, without the length."""
    count, *words = body.split(b"\0")
    number = int(count)
    pairs = (word.partition(b"=") for word in words[number:])
    return [os.fsdecode(word) for word in words[:number]], {n: v for n, _, v in pairs}


def listen(given: dict[str, str]) -> _socket.socket:
    """Listen where the server will connect: on a socket, in place of whatever was there.

    Or on a local port, where Java has no native library (its folder may forbid execution).
    """
    if given["--sock-type"] == "tcp":
        server = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        server.bind((given.get("--host", "127.0.0.1"), int(given["--port"])))
    else:
        path = given["--sock-name"]
        try:
            os.unlink(path)  # noqa: PTH108 - pathlib is a third of this program's size
        except OSError:
            if os.path.exists(path):  # noqa: PTH110
                raise
        server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        server.bind(path)
    server.listen(128)
    return server


def connections(server: _socket.socket, wanted: int) -> list[int]:
    """Wait for a connection, and a moment for the others of a model that was just started."""
    accept = server._accept  # type: ignore[attr-defined]
    found: list[int] = [accept()[0]]
    server.settimeout(TOGETHER_SECONDS)
    try:
        while len(found) < wanted:
            found.append(accept()[0])
    except OSError:  # it is late, and will be served when it comes
        pass
    server.settimeout(None)
    for client in found:
        os.set_blocking(client, True)
    return found


def ask(path: str, request: bytes, server: int, clients: list[int], leave: Leave = _stay) -> bytes:
    """Let who listens there fork a worker for those connections: READY or KEPT; b"" if not.

    The worker begins only once it is told to, so that there is never a second one for a
    connection when that process dies in between. It hears of our end once `leave` was called.
    """
    here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    line = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        line.settimeout(PATIENCE)
        line.connect(path)
        files = b"".join(
            n.to_bytes(_INTS, sys.byteorder) for n in (0, 1, 2, here, server, *clients)
        )
        sent = line.sendmsg([request], [(_socket.SOL_SOCKET, _SCM_RIGHTS, files)])
        line.sendall(request[sent:])
        answer = line.recv(1)
        line.sendall(GO)
        if answer == KEPT:
            line.settimeout(None)
            line.recv(1)
            leave()
    except OSError:
        return b""
    else:
        return answer
    finally:
        line.close()
        os.close(here)


def fork_cold(server: _socket.socket, client: int, arguments: list[str]) -> None:
    """Fork a worker of our own for a connection, which loads everything anew."""
    if os.fork():
        return
    try:
        server.close()
        import signal

        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.set_inheritable(client, True)
        os.execv(sys.executable, cold(client, arguments))  # noqa: S606
    finally:
        os._exit(1)


def cold(client: int, arguments: list[str]) -> list[str]:
    """The command line of a worker that loads everything anew for a connection."""
    return [sys.executable, HERE + "/worker.py", str(client), *arguments]


def say(text: str) -> None:
    """Tell the server, which waits for some of these lines."""
    os.write(1, text.encode() + b"\n")


def main(program: str, arguments: list[str], leave: Leave = _stay) -> None:
    """Serve connections until killed; `leave` is called before this program leaves."""
    given = options(arguments)
    ours = given["--handler"] == HANDLER
    started, environment = [program, *arguments], dict(os.environb)
    # a model that a process tried for the host, and did not outlive, gets one of its own
    alone = {**environment, ISOLATION.encode(): MODEL.encode()}
    forks = given["--tmp-dir"] + "/" + SOCKET
    tries = [(forks, environment), *[(forks, alone)] * (TRIES - 1)]
    if ours:
        name = template(given["--model-path"], os.environ.get(TEMPLATE_FILES, ""))
        tries.insert(0, (given["--tmp-dir"] + "/" + TEMPLATE.format(name), environment))
    server = listen(given)
    import _signal  # type: ignore[import-not-found]

    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
    say(f"Listening on port: {given.get('--sock-name')}")
    say(f"[PID] {os.getpid()}")
    say("MMS worker started.")
    wanted = min(int(os.environ.get(WORKERS, "1")), MOST_TOGETHER) if ours else 1
    while True:
        clients = connections(server, wanted)
        wanted = 1
        answers = (
            ask(path, pack(started, wanting), server.fileno(), clients, leave)
            for path, wanting in tries
            if ours
        )
        answer = next(filter(None, answers), b"")
        if answer == KEPT:
            os._exit(0)
        if not answer:
            if ours:
                say("the fork server does not answer: this worker starts cold")
            for client in clients:
                fork_cold(server, client, arguments)
        for client in clients:
            os.close(client)


if __name__ == "__main__":
    main(sys.argv[0], sys.argv[1:])
