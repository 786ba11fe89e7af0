"""The server process: opens the parts, serves them on the inherited socket, closes them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import resource
import signal
import socket
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from mmectl.base.errors import MmectlError
from mmectl.base.files import lock_for_good
from mmectl.local import record
from mmectl.local.processes import Process
from mmectl.local.s3.files import DISK_FULL, is_full
from mmectl.local.server import log_file
from mmectl.local.server.compose import Parts, compose
from mmectl.local.server.connections import MOST, Connections
from mmectl.local.server.gateway import Gateway
from mmectl.local.server.handlers import body_limit
from mmectl.local.server.keeper import Keeper, gone
from mmectl.local.server.launch import log_path
from mmectl.local.server.supervisor import GIVE_UP
from mmectl.local.waiting import within

log = logging.getLogger("mmectl.local.server.main")
LOCK_TIMEOUT = 15.0  # seconds that a server still shutting down is waited for
THREADS = 32  # many uploads and downloads at once wait for the disk
TRY_AGAIN = 75  # exit code of a server that may come up later (EX_TEMPFAIL)
UNREAD = 60.0  # seconds that an answer waits for a client that takes nothing of it
LOOK = 10.0  # seconds between two looks at the log
KEEP_ALIVE = 75.0  # seconds; whoever sends a head by drops gets no longer either
READ_BUFFER = 256 * 1024  # bytes read ahead of a streaming upload


def front(gateway: Gateway, keep_alive: float = KEEP_ALIVE, most: int = MOST) -> web.Server:
    """The HTTP server; bodies arrive as they were sent, also compressed ones.

    A connection is closed when no whole request head came for `keep_alive` seconds, or when
    others need its room while it has no request under way.
    """
    return Connections(
        gateway,
        most=most,
        access_log=None,
        keepalive_timeout=keep_alive,
        auto_decompress=False,
        max_line_size=16 * 1024,
        max_field_size=16 * 1024,
        read_bufsize=READ_BUFFER,
        lingering_time=2.0,
    )


def is_ours(line: logging.LogRecord) -> bool:
    """Whether a line is for the log; malformed requests, which anybody may send, are not."""
    error = line.exc_info[1] if line.exc_info else None
    return not isinstance(error, HttpProcessingError)


def hosts(port: int, name: str = record.LOOPBACK) -> tuple[str, ...]:
    """The values of the Host header that are ours; `name` is what others reach us by."""
    return tuple({f"{host}:{port}": None for host in ("127.0.0.1", "localhost", name.lower())})


def drop_stalled(listener: socket.socket, idle: float = UNREAD) -> None:
    """Let the kernel close connections whose other end takes no byte for `idle` seconds.

    It counts while something is unsent or unacknowledged; accepted connections inherit it.
    """
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(idle * 1000))


class Server:
    """The parts of one platform behind one socket."""

    def __init__(self, known: record.Record, parts: Parts, listener: socket.socket) -> None:
        self._parts = parts
        gateway = Gateway(
            known.credentials,
            hosts(listener.getsockname()[1], known.hosting.host),
            parts.services,
            body_limit,
            keys=parts.keys,
            health=parts.health,
        )
        self._runner = web.ServerRunner(front(gateway), shutdown_timeout=1.0)
        drop_stalled(listener)
        self._listener = listener

    async def start(self) -> None:
        """Open the parts, then accept."""
        await self._parts.open()
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener).start()

    async def close(self) -> None:
        """Accept nothing more, stop the instances, close what was opened."""
        for site in list(self._runner.sites):
            await site.stop()
        await self._parts.close()
        await self._runner.cleanup()


async def end_with(owner: Process | None, stopped: asyncio.Event) -> None:
    """Stop when the owner has died; without one there is nothing to wait for."""
    if owner is None:
        return
    await gone(owner)
    log.info("the process that this platform is for (pid %d) has ended", owner.pid)
    stopped.set()


async def serve(
    known: record.Record,
    parts: Parts,
    listener: socket.socket,
    ready: int,
    *,
    keeper: Keeper,
    look: Callable[[], None],
) -> None:
    """Serve until SIGTERM or SIGINT; `look` is called now and then, to see to the log."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stopped.set)
    server = Server(known, parts, listener)
    # at once: opening the parts takes a while, in which the supervisor may die
    keeping = asyncio.create_task(keeper.keep(known.supervisor))
    ending = asyncio.create_task(end_with(known.hosting.owner, stopped))
    await server.start()
    gc.freeze()  # what lives as long as the server need not be looked at again
    report(ready, {"ready": True})
    while not stopped.is_set():
        await within(LOOK, stopped.wait())
        look()
    log.info("stopping")
    keeping.cancel()
    ending.cancel()
    await server.close()
    keeper.tell(0)


def report(ready: int, answer: dict[str, object]) -> None:
    """Tell the one who waits for the start; nobody may be there any more."""
    with contextlib.suppress(OSError):
        os.write(ready, json.dumps(answer).encode() + b"\n")
    with contextlib.suppress(OSError):
        os.close(ready)


def lock(local: Path) -> None:
    """Be the only server of this state, until the process ends; raises TimeoutError."""
    if not lock_for_good(local / "server.lock", LOCK_TIMEOUT):
        raise TimeoutError("another server of this project is still running")


def main(arguments: list[str]) -> int:
    """``<state dir> <descriptor of the socket> <descriptor to report on>``.

    Returns 0 after an orderly end, 78 when starting again would not help, 75 when it may.
    """
    state_dir, socket_fd, ready = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    for descriptor in (socket_fd, ready):
        os.set_inheritable(descriptor, False)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a connection costs one
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    handler = log_file.install(log_path(state_dir))
    logging.getLogger("mmectl").setLevel(logging.INFO)
    logging.getLogger("aiohttp.server").addFilter(is_ours)
    try:
        lock(state_dir / "local")
        known = _known(state_dir)
        listener = socket.socket(fileno=socket_fd)
        keeper, parts = Keeper(state_dir, listener), compose(state_dir, known)
        asyncio.run(serve(known, parts, listener, ready, keeper=keeper, look=handler.look))
    except MmectlError as error:
        _tell(ready, error.message, error.hint, error.code)
        return TRY_AGAIN if error.code == DISK_FULL else GIVE_UP
    except (OSError, sqlite3.Error, ImportError) as error:
        full = is_full(error)
        _tell(ready, f"{type(error).__name__}: {error}", None, DISK_FULL if full else None)
        return TRY_AGAIN if full else GIVE_UP
    except Exception as error:
        log.exception("a bug")
        report(ready, {"error": f"a bug: {type(error).__name__}: {error}"})
        raise
    return 0


def _known(state_dir: Path) -> record.Record:
    known = record.read(state_dir)
    if known is None:
        raise FileNotFoundError("platform.json cannot be read")
    return known


def _tell(ready: int, message: str, hint: str | None, code: str | None) -> None:
    log.error("%s", message)
    report(ready, {"error": message, "hint": hint, "code": code})
