"""Launchers that are forked, not started: a Python's start takes 10 ms of each load, a shell's 1.

Multi Model Server starts a program for each model, and reads what that prints. Here the program is
a shell, which writes its number into a pipe and waits. The entrypoint forks, and the fork is the
launcher (serving/workers/launcher.py) in the shell's place: its output, environment and arguments
are to be had in /proc. The shell ends when the launcher does; where that failed, the
shell becomes the launcher itself, by the script that is used where there is no shell. The fork ends
when the server ends the shell: its standard input is a pipe of the server's, which is closed then.

A fork of the entrypoint takes 3 ms until the child has its first pages, so one waits for the next
shell. It ends with the entrypoint, which has the other end of its pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NoReturn

from serving.server import process_group
from serving.workers import launcher

SHELL = "/bin/sh"
BECOME = signal.SIGUSR1
_STDIO = 3
# After a launch: its load and its first answer are not to wait for the next fork
DELAY_SECONDS, _LATER_SECONDS = 0.15, 5.0
_WRITING_SECONDS, _LOOK_SECONDS = 2.0, 0.0002
# $1 is the worker server's name, else it is the server's collector of metrics. Who works in a
# model's folder is taken for its worker by whoever watches it, so the shell does not
_SCRIPT = """#!{shell}
case $1 in *{worker_server}) ;; *) exec '{python}' "$@" ;; esac
[ -p '{pipe}' ] || exec '{launcher}' "$@"
model=$PWD
cd /
trap 'exit 0' TERM
trap 'cd "$model" && exec "{launcher}" "$@"' {become}
echo $$ >'{pipe}'
read -r nothing
"""


def script(pipe: Path, instead: str, worker_server: str) -> str:
    """What the server is to start for a model; `instead` is the program that it else would."""
    return _SCRIPT.format(
        shell=SHELL,
        worker_server=worker_server,
        python=sys.executable,
        launcher=instead,
        become=BECOME.name[len("SIG") :],
        pipe=pipe,
    )


class Launches:
    """The pipe in `folder`, and the launchers that were forked: by their number the shell's."""

    def __init__(
        self,
        folder: Path,
        say: Callable[[str], None],
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._proc, self._clock = say, proc, clock
        self._waiting: tuple[int, int] | None = None  # a launcher to be, and where it is told
        self._due = clock() + DELAY_SECONDS
        self._pipe = folder / launcher.PIPE
        os.mkfifo(self._pipe, 0o600)
        # for writing, too: else it would be at its end whenever no shell has it open
        self.descriptor = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""
        self._forked: dict[int, int] = {}

    def act(self, ready: Collection[int]) -> None:
        """Do what is due, after a wait that found these descriptors ready."""
        if self.descriptor in ready:
            self._hear()
        self.fork_ahead()

    def _hear(self) -> None:
        """Have a launcher for each shell that has asked."""
        with contextlib.suppress(BlockingIOError):
            *whole, self._rest = (self._rest + os.read(self.descriptor, 2**16)).split(b"\n")
            for word in whole:
                if word.isdigit():
                    self._launch(int(word))
                    self._due = self._clock() + DELAY_SECONDS

    def seconds(self) -> float | None:
        """How long until a launcher is to be forked ahead; None: one is there."""
        return None if self._waiting else max(self._due - self._clock(), 0.0)

    def fork_ahead(self) -> None:
        """Fork one that waits for its shell, where that is due."""
        if self.seconds() != 0.0:
            return
        self._due = self._clock() + _LATER_SECONDS  # where it fails
        try:
            reader, writer = os.pipe()
        except OSError as error:  # each model has descriptors, too
            self._say(f"cannot fork a launcher: {error}")
            return
        made = self._fork(lambda: self._wait(reader))
        os.close(reader)
        if made:
            self._waiting = made, writer
        else:
            os.close(writer)

    def _wait(self, reader: int) -> None:
        """Be a launcher once there is a shell for it; end with the entrypoint."""
        os.dup2(reader, _STDIO)
        close_all(_STDIO + 1)
        shell = os.read(_STDIO, 32)
        if shell:
            be_launcher(self._proc / str(int(shell)), self._pipe)

    def _launch(self, shell: int) -> None:
        """Have a launcher in a shell's place: the one that waits, else one forked for it."""
        made = self._told(shell) or self._fork(
            lambda: be_launcher(self._proc / str(shell), self._pipe)
        )
        if made:
            self._forked[made] = shell
        else:
            self._tell(shell, BECOME)

    def _told(self, shell: int) -> int:
        """Tell the launcher that waits for which shell; its number, 0 where there is none."""
        if self._waiting is None:
            return 0
        (made, writer), self._waiting = self._waiting, None
        try:
            os.write(writer, b"%d" % shell)
        except OSError:  # it was killed
            return 0
        finally:
            os.close(writer)
        return made

    def _fork(self, action: Callable[[], None]) -> int:
        """Do something in a process of its own; its number, 0 where it cannot be had."""
        try:
            made = os.fork()
        except OSError as error:
            self._say(f"cannot fork a launcher: {error}")
            return 0
        if made:
            return made
        try:
            process_group.leave_signals()
            action()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - it is the end of the process, and must be told
            traceback.print_exc()
        finally:
            os._exit(1)

    def ended(self, ended: Mapping[int, int]) -> None:
        """Let the shells of launchers leave that have ended, with these wait statuses."""
        if self._waiting is not None and self._waiting[0] in ended:
            os.close(self._waiting[1])
            self._waiting = None
        for made, status in ended.items():
            shell = self._forked.pop(made, None)
            if shell is not None:
                self._tell(shell, BECOME if status else signal.SIGTERM)

    def _tell(self, shell: int, number: signal.Signals) -> None:
        """Send a signal to a shell, where there still is one of that number."""
        with contextlib.suppress(OSError):
            if (self._proc / str(shell) / "cmdline").read_bytes().startswith(SHELL.encode()):
                os.kill(shell, number)


def be_launcher(shell: Path, pipe: Path) -> NoReturn:
    """Be the launcher in the place of a shell, by its folder in /proc, that wrote to the pipe.

    Raises OSError.
    """
    close_all(_STDIO)
    _, _, program, *arguments = (shell / "cmdline").read_bytes().split(b"\0")[:-1]
    environment = dict(
        entry.split(b"=", 1) for entry in (shell / "environ").read_bytes().split(b"\0") if entry
    )
    wait_for_output(shell / "fd" / "1", pipe)
    watched = end_with(shell / "fd" / "0")
    for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        opened = os.open(shell / "fd" / str(number), flags)
        os.dup2(opened, number)
        os.close(opened)
    words = [os.fsdecode(one) for one in arguments]
    os.chdir(launcher.options(words)["--model-path"])
    for name in set(os.environb) - set(environment):
        del os.environb[name]
    os.environb.update(environment)
    launcher.main(os.fsdecode(program), words, lambda: end_shell(shell, watched))
    os._exit(0)


def end_shell(shell: Path, watched: int) -> None:
    """End the shell, and wait until it is gone: who watches the model is to see its worker alone.

    That is no reason to end for this process any more, as it was while `watched` was.
    """
    fcntl.fcntl(watched, fcntl.F_SETFL, 0)
    os.chdir("/")
    deadline = time.monotonic() + _WRITING_SECONDS
    with contextlib.suppress(OSError):
        os.kill(int(shell.name), signal.SIGTERM)
        while time.monotonic() < deadline:
            (shell / "cwd").readlink()  # fails where it has ended
            time.sleep(_LOOK_SECONDS)


def wait_for_output(output: Path, pipe: Path) -> None:
    """Wait until a shell's output is its own again: while it writes to the pipe, that is in place.

    Raises OSError.
    """
    deadline = time.monotonic() + _WRITING_SECONDS
    while os.path.samestat(output.stat(), pipe.stat()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{output} is still {pipe}")
        time.sleep(_LOOK_SECONDS)


def close_all(first: int) -> None:
    """Close what was the entrypoint's: sockets would stay open, and the end of others unseen."""
    held = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - numbers
    os.closerange(first, max(held) + 1)


def end_with(pipe: Path) -> int:
    """Let the kernel end this process when nobody has the other end of a pipe any more.

    Returns the descriptor by which it knows.
    """
    descriptor = os.open(pipe, os.O_RDONLY | os.O_CLOEXEC)
    # a kernel without it is a sandbox's
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_ASYNC)
    return descriptor
