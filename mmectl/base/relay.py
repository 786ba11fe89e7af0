"""Let a server that listens on TCP alone be reached through a Unix socket, and by nothing else.

Run as a file, with the standard library of Python 3.8 alone:

``python relay.py SCRIPT ARGUMENT...`` runs the script with the same Python in a network of its
own, which has a loopback interface and nothing besides, and passes on what comes to the socket of
``MMECTL_BIND_ADDRESS=unix:PATH``. No other process of this machine can reach the server's port.

``python relay.py -- PROGRAM ARGUMENT...`` does so with any program.

``python relay.py --only PATH`` passes on what comes to the socket PATH until its standard input
ends; it is in the server's network already (`relay_container`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import functools
import os
import signal
import socket
import struct
import subprocess
import sys
from typing import NoReturn

PORT = 8080
HERE = "127.0.0.1"
# answers where a server listens for everybody, as on SageMaker, but not for its own machine alone
EVERYBODY = "127.0.0.2"
READY = "listening"  # what `--only` prints when it does
NO_NETWORK = 78  # exit code where no network of its own can be had (EX_CONFIG)
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
_CHUNK = 1 << 16
_PATIENCE = 5.0  # seconds from SIGTERM to SIGKILL when the platform is gone


def isolate() -> None:
    """Enter a network of our own; OSError where the system allows none."""
    user, group = os.getuid(), os.getgid()
    if _unshare(_NEW_NETWORK):
        # who may not do that may as the owner of a user namespace
        error = _unshare(_NEW_USER | _NEW_NETWORK)
        if error:
            raise OSError(error, os.strerror(error))
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{user} {user} 1"),
            ("gid_map", f"{group} {group} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123
                file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        request = struct.pack("16sH22x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(line, _GET_FLAGS, request), 16)
        fcntl.ioctl(line, _SET_FLAGS, struct.pack("16sH22x", b"lo", flags | _UP))


def _unshare(flags: int) -> int:
    """Leave the namespaces of these flags; 0, or the error's number."""
    library = ctypes.CDLL(None, use_errno=True)
    return 0 if library.unshare(flags) == 0 else ctypes.get_errno()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str = HERE
) -> None:
    """One connection of the socket, to the server's port and back."""
    try:
        inner_reader, inner_writer = await asyncio.open_connection(host, PORT)
    except OSError:  # it does not listen yet, or not any more
        writer.close()
        return
    try:
        back = asyncio.ensure_future(_pump(inner_reader, writer))
        await _pump(reader, inner_writer)
        await back
    finally:
        inner_writer.close()
        writer.close()


async def listen(path: str, host: str) -> asyncio.AbstractServer:
    """Pass on what comes to the socket from now on."""
    listening = await asyncio.start_unix_server(functools.partial(pass_on, host=host), path)
    os.chmod(path, 0o666)  # noqa: PTH101, S103 - who may enter its folder may connect
    return listening


async def only(path: str) -> None:
    """Pass on what comes, until the standard input ends or SIGTERM comes."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(0, ended.set)  # nothing is ever written to it
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    listening = await listen(path, EVERYBODY)
    print(READY, flush=True)  # noqa: T201
    await ended.wait()
    listening.close()


async def serve(path: str, command: list[str], environment: dict[str, str]) -> int:
    """Run the server and pass on what comes until it ends; its exit code."""
    host = environment.pop("MMECTL_RELAY_TO", HERE)
    loop = asyncio.get_running_loop()
    lifeline = int(environment.get("MMECTL_LIFELINE_FD", "-1"))
    kept = (lifeline,) if lifeline >= 0 else ()
    server = subprocess.Popen(command, env=environment, pass_fds=kept)  # noqa: ASYNC220
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.send_signal, number)

    def gone() -> None:
        loop.remove_reader(lifeline)
        server.terminate()
        loop.call_later(_PATIENCE, server.kill)

    if kept:
        loop.add_reader(lifeline, gone)
    listening = await listen(path, host)
    ended = await loop.run_in_executor(None, server.wait)
    listening.close()
    return ended


def main(arguments: list[str]) -> NoReturn:
    """Do what the arguments say; leaves with the code of what was run, or 128 + signal."""
    if arguments[:1] == ["--only"]:
        asyncio.run(only(arguments[1]))
        sys.exit(0)
    environment = dict(os.environ)
    scheme, _, path = environment.pop("MMECTL_BIND_ADDRESS", "").partition(":")
    command = arguments[1:] if arguments[:1] == ["--"] else [sys.executable, *arguments]
    if scheme != "unix":
        os.execvpe(command[0], command, {**os.environ})  # noqa: S606
    try:
        isolate()
    except OSError as error:
        sys.stderr.write(
            "this server does not know MMECTL_BIND_ADDRESS=unix:PATH, so it listens on a port, and "
            f"a network of its own, which keeps others from it, is not available here: {error}. "
            "See 'Where it listens' in docs/containers.md\n"
        )
        sys.exit(NO_NETWORK)
    environment["SAGEMAKER_BIND_TO_PORT"] = str(PORT)
    code = asyncio.run(serve(path, command, environment))
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(sys.argv[1:])
