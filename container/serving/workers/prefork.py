"""The fork server: a process that has all of a worker loaded and forks on request.

Usage: prefork.py LISTENING_DESCRIPTOR READY_DESCRIPTOR PADDING, started by server_home.py. It
imports the handler and lets each runtime that is installed preload its framework, so that what a
framework makes at first use is made once, and shared by the workers until they write to it. No
thread runs in it.

A model's code and data exist in its worker alone, after the fork; the fork server reads a request's
arguments and environment, and nothing else. From the second model with the same template on,
workers come from a process that has the template ready (template.py). All of it ends with the
entrypoint, see process_group.py.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import stat
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from runtimes import folders, process, registry
from runtimes.base import Runtime
from runtimes.values import ModelError

from serving.workers import (
    cpu,
    handover,
    host_line,
    idle,
    launcher,
    printing,
    standby,
    template,
    tier,
    worker,
)
from serving.workers.standby import Standby, Start
from serving.workers.template import Template

_STDIO = 3
# and the working directory, the listening socket and a connection
_LEAST_FILES = _STDIO + 3
_REQUEST_SECONDS = 5.0
# Delay before a template is prepared, so that the model that triggered it is served first (a load
# plus first answer takes about this long)
DELAY_SECONDS, LARGE_DELAY_SECONDS = 0.1, 1.0
# A template's process exits after this many idle periods of a worker without a model of its own
_TEMPLATE_RESTS = 30
# the server waits a minute or two for a load
PIPE_SECONDS = 600
# Where the small models lie that a process which waits has loaded, in the folder of the sockets
SAMPLES = "samples"


def serve_one(
    line: socket.socket, listener: socket.socket, start: Start, waiting: Standby | None = None
) -> None:
    """Answer one launcher, and clear away; an error is told, and the next one is served."""
    try:
        answer(line, listener, start, waiting)
        _broom.sweep()
    except OSError as error:
        sys.stderr.write(f"fork server: cannot start a worker: {error}\n")
    finally:
        line.close()


def answer(
    line: socket.socket, listener: socket.socket, start: Start, waiting: Standby | None = None
) -> None:
    """Have a process be what a request asks for: the one that waits, else one forked for it.

    An OSError is the launcher's concern.
    """
    line.settimeout(_REQUEST_SECONDS)
    files: list[int] = []
    try:
        body, files = handover.receive(line)
        if not body or len(files) < _LEAST_FILES:
            return
        if waiting is not None and waiting.give(line, body, files):
            return
        if os.fork() == 0:
            listener.close()
            if waiting is not None:
                waiting.leave()
            start(line, body, files)
    finally:
        for file in files:
            os.close(file)


def begin(line: socket.socket, body: bytes, files: list[int]) -> NoReturn:
    """Be the worker of a request, and make its template ready for the next one; never returns.

    Or the host, or who hands a model over to it.
    """
    line.settimeout(_REQUEST_SECONDS)
    (program, *arguments), environment = launcher.unpack(body)
    if program == host_line.ARGUMENT:
        become_host(files, int(arguments[0]))
    settings = {os.fsdecode(n): os.fsdecode(v) for n, v in environment.items()}
    with folders.looked_at_once():
        if tier.shares(Path(launcher.options(arguments)["--model-path"]), settings):
            hand_over(line, [program, *arguments], files)
    with contextlib.suppress(OSError, ModelError):  # a folder that is no model: its worker says so
        found = template.find(Path(launcher.options(arguments)["--model-path"]), Path.cwd())
        if found is not None and found.seen_before() and found.fits():
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            bind(listener, found.socket)  # one of several; none where there is one already
            if os.fork():
                for file in (line.detach(), *files):
                    os.close(file)
                lead(found, listener, settings)
            listener.close()
    become_worker(line, body, files)


def become_host(files: list[int], number: int) -> NoReturn:
    """Be the host of that number, in the new process; never returns."""
    status = 1
    try:
        for stream in range(_STDIO):
            os.dup2(files[stream], stream)
        rename([sys.executable, "-m", "serving.workers.host"])
        from serving.workers import host

        host.run(files[_STDIO + 1 :], number)
    except BaseException:  # noqa: BLE001 - it is the end of the process, and must be told
        traceback.print_exc()
    finally:
        os._exit(status)


def hand_over(line: socket.socket, started: list[str], files: list[int]) -> NoReturn:
    """Try a model, give it to the host, and end, whatever comes of it.

    Where nothing does, the launcher asks again, for a process of the model's own. The entrypoint is
    told first: it has the model's sockets, whatever becomes of the host.
    """
    sockets = files[_STDIO + 1 :]
    errors = os.dup(2)
    try:
        if not tier.passes_trial(Path(launcher.options(started[1:])["--model-path"])):
            os._exit(1)
        chosen = host_line.give(host_line.DEPOSIT, host_line.HOSTED, started, {}, sockets)
    except OSError as error:
        os.write(errors, f"fork server: cannot share a process: {error}\n".encode())
        os._exit(1)
    except BaseException:  # noqa: BLE001 - the model's own worker will say it
        os._exit(1)
    with contextlib.suppress(OSError):  # of a host that died: the next one will have the sockets
        if wanted(line, launcher.KEPT):
            line.shutdown(socket.SHUT_WR)  # the launcher leaves meanwhile
            host_line.give(host_line.front(chosen), host_line.HOSTED, started, {}, sockets)
        else:
            part(host_line.WITHDRAWN, started)
    os._exit(0)


def bind(listener: socket.socket, path: Path) -> None:
    """Bind to a socket's path, also where a process that was killed left it; else OSError.

    The fork server sweeps after each fork, which may be later than this.
    """
    try:
        listener.bind(str(path))
    except OSError:
        sweep(path.parent)
        listener.bind(str(path))


def lead(found: Template, listener: socket.socket, environ: Mapping[str, str]) -> NoReturn:
    """Be the process of a template, in the new process, until it has had no model for a while."""
    patience = idle.seconds(environ) * _TEMPLATE_RESTS or None
    try:
        rename([sys.executable, "-m", "serving.workers.prefork", "--template", found.name])
        time.sleep(LARGE_DELAY_SECONDS if found.large else DELAY_SECONDS)
        found.prepare(cpu.limit(environ))
        share([found.runtime])
        listener.listen(128)
        listener.settimeout(patience)
        while True:
            try:
                line, _ = listener.accept()
            except socket.timeout:
                if childless():
                    break
                continue
            serve_one(line, listener, become_worker)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - its models load without it
        sys.stderr.write(f"fork server: no template of {found.name}: {error}\n")
    finally:
        with contextlib.suppress(OSError):
            found.socket.unlink()
        os._exit(0)


def childless() -> bool:
    """Whether all that this process forked has ended (SIGCHLD is ignored: nobody waits for it)."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def become_worker(line: socket.socket, body: bytes, files: list[int]) -> NoReturn:
    """Be the worker of a request, in the new process; never returns."""
    status = 1
    try:
        started, environment = launcher.unpack(body)
        arguments = started[1:]
        kept = deposited(started, environment, files[_STDIO + 1])
        clients = take_over(environment, files)
        rename([sys.executable, *started])
        if begins(line, started, kept):
            process.reseed()
            for runtime in registry.installed():
                runtime.use_threads(cpu.limit(os.environ))
            status = worker.run(
                launcher.options(arguments), clients, printing, lambda: dismiss(line)
            )
            if kept:
                part(host_line.PARTED_WORKER, started)
    except BaseException:  # noqa: BLE001 - it is the end of the process, and must be told
        traceback.print_exc()
    finally:
        os._exit(status)


def deposited(started: list[str], environment: dict[bytes, bytes], listener: int) -> bool:
    """Have the entrypoint keep the model's socket; whether it does, so that the launcher may go."""
    if launcher.options(started[1:])["--sock-type"] == "tcp":
        return False
    try:
        host_line.give(host_line.DEPOSIT, host_line.WORKER, started, environment, [listener])
    except OSError:
        return False
    return True


def begins(line: socket.socket, started: list[str], kept: bool) -> bool:
    """Ask the launcher whether to begin; it leaves at the line's end where its socket is kept."""
    begins = wanted(line, launcher.KEPT if kept else launcher.READY)
    if not kept:
        line.close()
    if kept and not begins:
        part(host_line.WITHDRAWN, started)
    return begins


def dismiss(line: socket.socket) -> None:
    """Let the launcher leave, and wait until it has."""
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_WR)
        line.recv(1)
    line.close()


def part(what: str, started: list[str]) -> None:
    """Tell the entrypoint that a model is served here no longer."""
    with contextlib.suppress(OSError):
        host_line.give(host_line.DEPOSIT, what, started, {}, [])


def wanted(line: socket.socket, answer: bytes = launcher.READY) -> bool:
    """Ask the launcher whether to begin; it may have given up or died meanwhile."""
    try:
        line.sendall(answer)
        return line.recv(1) == launcher.GO
    except OSError:
        return False


def take_over(environment: dict[bytes, bytes], files: list[int]) -> list[int]:
    """Take output, directory and environment from the launcher; returns the connections."""
    for number in range(_STDIO):
        os.dup2(files[number], number)
    os.fchdir(files[_STDIO])
    for file in files[: _STDIO + 2]:  # the listening socket, too
        os.close(file)
    for name in set(os.environb) - set(environment):
        del os.environb[name]
    os.environb.update(environment)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    files[:] = files[_STDIO + 2 :]
    return list(files)


def sweep(folder: Path, table: Path = Path("/proc/net/unix")) -> None:
    """Remove what models that are gone left: the server kills those who would clean up.

    Sockets that nobody listens on, and pipes of loads that must have ended long ago.
    """
    found = list(folder.iterdir())
    ours = {path.name for path in found}
    # the folder may have been called otherwise when they were made; other servers have their own
    bound = {
        os.path.realpath(path) for path in handover.bound(table) if path.rpartition("/")[2] in ours
    }
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            state = path.lstat()
            late = path.name != launcher.PIPE and time.time() - state.st_mtime > PIPE_SECONDS
            gone = stat.S_ISSOCK(state.st_mode) and os.path.realpath(path) not in bound
            if gone or (stat.S_ISFIFO(state.st_mode) and late):
                path.unlink()


class Broom:
    """Sweeps a folder after each fork, but for a twentieth of the time at most.

    It looks at the sockets of all models, of which a host may have thousands.
    """

    SHARE = 20

    def __init__(
        self, sweep: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sweep, self._clock, self._due = sweep, clock, 0.0

    def sweep(self) -> None:
        """Sweep, unless the last time was too short ago for how long it took."""
        began = self._clock()
        if began < self._due:
            return
        self._sweep()
        ended = self._clock()
        self._due = ended + (ended - began) * self.SHARE


_broom = Broom(lambda: sweep(Path.cwd()))


def rename(arguments: list[str]) -> None:
    """Show the worker's own command line in /proc, as far as the fork server's leaves room."""
    fields = Path("/proc/self/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc(5)
    text = b"\0".join(os.fsencode(word) for word in arguments)[: end - start - 1]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, len(text))


def prepare(samples: Path) -> list[Path]:
    """Load and warm everything that workers share; small models, made below `samples`.

    A process that has loaded those may have threads, and templates are forked once more.
    """
    import model_handler

    runtimes = registry.installed()
    model_handler.preload(runtimes)
    fork_again = any(runtime.template_files for runtime in runtimes)
    made = [] if fork_again else [one for each in runtimes for one in each.samples(samples)]
    share(runtimes)
    return made


def share(runtimes: Sequence[Runtime]) -> None:
    """Get ready to fork: raises SystemExit if another thread runs."""
    if not all(runtime.quiesce() for runtime in runtimes):
        raise SystemExit("fork server: other threads run after the warm-up: cannot fork")
    process.loaded_openmp()
    gc.collect()
    gc.freeze()  # else the first collection in a worker would copy every page of objects
    ctypes.CDLL(None).malloc_trim(0)


def get_ready(samples: Sequence[Path]) -> None:
    """Be the process that waits for a request, and do beforehand what can be done."""
    rename([sys.executable, "-m", "serving.workers.standby"])
    standby.rehearse(samples)


def main(listener: socket.socket, ready: int) -> None:
    """Fork workers until killed; `ready` is told when the first could be."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the entrypoint's to answer
    samples = prepare(Path.cwd() / SAMPLES)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.write(ready, launcher.READY)
    os.close(ready)
    waiting = Standby(begin, lambda: get_ready(samples))
    while True:
        waiting.act(listener)
        listener.settimeout(waiting.seconds())
        with contextlib.suppress(socket.timeout, BlockingIOError):
            line, _ = listener.accept()
            serve_one(line, listener, begin, waiting)
            waiting.postpone()


if __name__ == "__main__":
    # where it was started is nothing to import from
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path.cwd()]
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
