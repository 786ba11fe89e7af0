"""What a lab shares with the machine: processes, a bridge, packet rules, control groups."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
BRIDGES = Path("/sys/class/net")
SLOTS = range(1, 60)


class Unavailable(Exception):
    """There can be no lab here; the text says why."""


def asked_for(environ: Mapping[str, str]) -> bool:
    """Whether MMECTL_LAB asks for a lab; where that is not set, continuous integration does."""
    said = environ.get("MMECTL_LAB", environ.get("CI", ""))
    return said.strip().lower() not in ("", "0", "no", "off", "false")


def run(*command: str | Path, **more: Any) -> str:
    """Run a program to its end; raises Unavailable with what it said."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **more
    )
    if done.returncode:
        raise Unavailable(f"{' '.join(map(str, command[:4]))}: {done.stderr.strip()[-500:]}")
    return done.stdout


def wait_for(what: str, ready: Callable[[], bool], seconds: float = 120) -> None:
    """Poll until `ready`; raises Unavailable."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise Unavailable(f"{what} did not come up within {seconds:g} s")
        time.sleep(0.02)


@contextmanager
def child(
    command: Sequence[str | Path], log: Path, stop: Callable[[int], None], **variables: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that dies with us; `stop` asks it to end."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process.pid)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def stop_namespace(pid: int) -> None:
    """Ask the first process of a process namespace, a child of `pid`, to end."""
    with contextlib.suppress(OSError, IndexError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)


@contextmanager
def slot() -> Iterator[int]:
    """A number that no other lab of this machine has; the kernel frees it when we die."""
    for number in SLOTS:
        with socket.socket(socket.AF_UNIX) as held:
            try:
                held.bind(f"\0mmelab{number}")
            except OSError:
                continue
            yield number
            return
    raise Unavailable("too many labs run at once")


def rules(name: str) -> list[list[str]]:
    """The packet filter's rules of a lab, as arguments of iptables."""
    number = name.removeprefix("mmelab")
    mark = ["-m", "comment", "--comment", name]
    return [
        ["-t", "nat", "-A", "POSTROUTING", "-s", f"10.211.{number}.0/24", "!", "-o", name, *mark,
         "-j", "MASQUERADE"],
        ["-I", "FORWARD", "-i", name, *mark, "-j", "ACCEPT"],
        ["-I", "FORWARD", "-o", name, *mark, "-j", "ACCEPT"],
    ]  # fmt: skip


def forwarding() -> str:
    """Whether the machine forwarded packets before the first lab; bridges carry it as alias."""
    others = [path.read_text().strip() for path in BRIDGES.glob("mmelab*/ifalias")]
    known = [alias for alias in others if alias.startswith("forward")]
    return known[0] if known else f"forward{FORWARD.read_text().strip()}"


def sweep(name: str, folder: Path) -> None:
    """Remove what a lab of that name leaves in the kernel and on the disk."""
    bridge = BRIDGES / name
    if bridge.exists():
        before = (bridge / "ifalias").read_text().strip()
        run("ip", "link", "delete", name)
        if before == "forward0" and not list(BRIDGES.glob("mmelab*")):
            FORWARD.write_text("0")
    for rule in rules(name):
        gone = ["-D" if part in ("-A", "-I") else part for part in rule]
        while not subprocess.run(
            ["iptables", "-w", *gone], capture_output=True, check=False
        ).returncode:
            pass
    for group in sorted(Path("/sys/fs/cgroup").glob(f"**/{name}/**/"), reverse=True):
        with contextlib.suppress(OSError):
            group.rmdir()
    shutil.rmtree(folder, ignore_errors=True)
