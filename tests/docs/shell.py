"""One shell for all commands of a page, in a new empty folder with a home of its own."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import warm_start

from mmectl.local import processes
from mmectl.local.client import platform

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
HOME = "/home/me"  # what the home is called in what is printed
FOLDER = "demo"
SECONDS = 300.0  # for one command
# Reads commands that end in NUL; runs each in itself, so that `cd` and `export` last.
_LOOP = r"""
while IFS= read -r -d '' -u 9 command; do
  eval "$command" </dev/null 2>&1 9<&-
  printf '\0%s\0' $?
done
"""
# A project builds its image into the folder where all tests keep serving environments.
_PROGRAM = """#!/bin/sh
if [ -f config.yaml ] && ! [ -e .mmectl ]; then
  mkdir -m 700 .mmectl && ln -s '{environments}' .mmectl/envs
fi
exec '{python}' -IS '{client}' {control} '{program}' "$@"
"""
_HANDED_ON = ("LC_", "LANG", "TZ", "LD_", "PIP_", "UV_", "SSL_", "REQUESTS_", "PYTHON", "TMP")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


class Stuck(RuntimeError):
    """A command that does not end, or ended the shell."""


@dataclass
class Shell:
    """Commands one after the other, each with all that it printed and its exit code."""

    process: subprocess.Popen[bytes]
    commands: int
    base: Path

    def run(self, command: str) -> str:
        """What a command prints, as the page shows it; raises Stuck."""
        os.write(self.commands, command.encode() + b"\0")
        printed, code = self._answer(command)
        shown = printed.replace(str(self.base / "me"), HOME)
        shown = shown.replace(str(BIN.parent), f"{HOME}/.venv").replace(str(ROOT), "/src/mmectl")
        if shown and not shown.endswith("\n"):
            shown += "\n"
        return shown if code == 0 else f"{shown}(exit code {code})\n"

    def _answer(self, command: str) -> tuple[str, int]:
        assert self.process.stdout is not None
        said, deadline = b"", time.monotonic() + SECONDS
        while not (said.endswith(b"\0") and said.count(b"\0") == 2):
            if time.monotonic() > deadline:
                raise Stuck(f"$ {command}\n{said.decode()}still runs after {SECONDS:.0f} s")
            ended = self.process.poll() is not None
            if select.select([self.process.stdout], [], [], 0 if ended else 1)[0]:
                said += os.read(self.process.stdout.fileno(), 1 << 16)
            elif ended:
                raise Stuck(f"$ {command}\n{said.decode()}ended the shell")
        printed, code, _ = said.split(b"\0")
        return printed.decode(), int(code)


@contextlib.contextmanager
def opened(variables: Mapping[str, str]) -> Iterator[Shell]:
    """A shell in an empty folder; in the end nothing of what it started may be left.

    `variables` are what its environment has besides.
    """
    base = Path(tempfile.mkdtemp(prefix="mme"))
    try:
        folder = base / "me" / FOLDER
        folder.mkdir(parents=True)
        with _bash(base, folder, variables) as shell:
            yield shell
    finally:
        _end(base)


@contextlib.contextmanager
def _bash(base: Path, folder: Path, variables: Mapping[str, str]) -> Iterator[Shell]:
    reader, writer = os.pipe()
    controls = [_program(base / "bin", name) for name in warm_start.MODULES]
    process = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-c", f"exec 9<&{reader} {reader}<&-\n{_LOOP}"],
        cwd=folder,
        env={**_environment(base), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(reader, *controls),
        start_new_session=True,
    )
    os.close(reader)
    try:
        yield Shell(process, writer, base)
    finally:
        os.close(writer)
        for state in (base / "me").rglob(".mmectl"):
            platform.stop(state)
        _end_all(process)


def _end_all(process: subprocess.Popen[bytes]) -> None:
    """End the shell and what it started in the background, which hands the signal on."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)
            return


def _program(folder: Path, name: str) -> int:
    """Write a program that has its imports done; the descriptor that it needs."""
    control = warm_start.template(name).fileno()
    environments = ROOT / ".mmectl" / "envs"
    environments.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(
        _PROGRAM.format(
            environments=environments,
            python=sys.executable,
            client=Path(__file__).with_name("warm_client.py"),
            control=control,
            program=BIN / name,
        )
    )
    path.chmod(0o755)
    return control


def _environment(base: Path) -> dict[str, str]:
    """What is needed to install packages, and nothing of whoever runs this."""
    handed_on = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_HANDED_ON) or name.lower() in _PROXIES
    }
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "uv")
    return {
        "UV_CACHE_DIR": str(cache),
        **handed_on,
        "HOME": str(base / "me"),
        "EXAMPLES": str(ROOT / "examples"),
        "PATH": f"{base / 'bin'}:{BIN}:{os.environ['PATH']}",
        "COLUMNS": "100",
    }


def _end(base: Path) -> None:
    """Fail where something of a platform is left; remove the folders."""
    left = [p for state in (base / "me").rglob(".mmectl") for p in processes.marked(state)]
    shutil.rmtree(base)
    assert left == []
