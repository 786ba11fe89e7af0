"""The local image: a serving environment plus a copy of the context, made and registered.

It is registered in a file that is written last. Whatever is interrupted is not registered and is
made again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmectl import __version__
from mmectl.base import files, relay
from mmectl.base.errors import BuildError
from mmectl.base.values import Event, Report
from mmectl.images import local_env, local_smoke
from mmectl.images.context import (
    Contents,
    context_digest,
    context_requirements,
    copy,
    digest_of,
    entries,
    index_of,
    knows_sockets,
)
from mmectl.images.index_login import with_login
from mmectl.images.local_env import Environment
from mmectl.images.trial import Trial
from mmectl.images.uv import Uv, find_uv

REQUIRED = ("entrypoint.py", "model_handler.py")
_RELAY = Path(relay.__file__)


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """A registered local image; `digest` is ``sha256:<hex>``, `reused` means nothing was done."""

    reference: str
    digest: str
    path: Path
    python: str
    java: str
    seconds: float
    reused: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """The image to make: of a context, with `contents` beside it; `digest` is of both."""

    context: Path
    contents: Contents
    digest: str
    name: str


def build(
    wanted: Wanted, state_dir: Path, *, python: str | None, trial: Trial, report: Report
) -> BuiltImage:
    """Make and register an image, where it is not there.

    Raises BuildError; nothing is registered then.
    """
    started = time.monotonic()
    context = wanted.context
    missing = [file for file in REQUIRED if not (context / file).is_file()]
    found = context_requirements(context, wanted.contents)
    missing += [] if found else ["requirements.txt"]
    if missing:
        raise BuildError(
            f"the image context {context} lacks {', '.join(missing)}", code="context_incomplete"
        )
    state_dir = state_dir.resolve()
    work = _Build(wanted, found, state_dir, trial)
    try:
        done = work.known(python)
        if done is None:
            with locked(state_dir, report) as lock:
                done = work.known(python) or work.run(python, lock, report)
    except OSError as error:
        raise _disk_error(error, state_dir) from error
    return BuiltImage(**{**done, "seconds": time.monotonic() - started})


def _disk_error(error: OSError, state_dir: Path) -> BuildError:
    if error.errno == errno.ENOSPC:
        return BuildError(
            f"cannot build: the disk of {state_dir} is full",
            hint="free about 1 GB",
            code="no_space",
        )
    return BuildError(f"cannot build: {error}", code="environment_failed")


@contextlib.contextmanager
def locked(state_dir: Path, report: Report) -> Iterator[int]:
    """Hold the build lock of the project; uv inherits it, so an orphaned uv holds it too."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    waiting = Event("note", "lock", "waiting for another build of this project")
    with files.locked(state_dir / "build.lock", lambda: report(waiting)) as lock:
        yield lock


class _Build:
    """One build: where its parts go, and what is known of it."""

    def __init__(
        self, wanted: Wanted, requirements: tuple[Path, ...], state_dir: Path, trial: Trial
    ) -> None:
        hexadecimal = wanted.digest.removeprefix("sha256:")
        self.context = wanted.context
        self.files = entries(wanted.context, wanted.contents)
        self.served = wanted.contents.served
        self.requirements, self.more = requirements, wanted.contents.requirements
        self.contents = wanted.contents
        self.digest = wanted.digest
        self.reference = wanted.name
        self.trial = trial
        self.environments = state_dir / "envs"
        self.folder = state_dir / "images" / hexadecimal
        self.entry = self.folder.with_suffix(".json")
        # beside the context's copy: a server that knows no Unix sockets is run by it
        self.relay = self.folder.with_suffix(".relay.py")

    def known(self, python: str | None) -> dict[str, Any] | None:
        """What is registered, where it is complete, can run, and is what is asked for."""
        entry = read_entry(self.entry)
        try:
            environment = local_env.read_environment(Path(entry["build"]["environment"]))
            wanted = entry["build"]["python"]
            references = entry["references"]
            entrypoint = entry["entrypoint"]
        except (KeyError, TypeError):
            return None
        if environment is None or wanted != python or not self._copied():
            return None
        if entrypoint != self._entrypoint(environment):
            return None
        if self.trial.wanted and entry["build"].get("tried", Trial().key()) != self.trial.key():
            return None
        if self.reference not in references:
            self._register(environment, python, references)
        return self._result(environment, reused=True)

    def run(self, python: str | None, lock: int, report: Report) -> dict[str, Any]:
        """Make what is lacking, try it, register it."""
        report(Event("start", "python", "looking for a Python that can serve"))
        index = index_of(self.requirements, self.contents)
        index = index and with_login(index, os.environ)

        def told(line: str) -> None:
            report(Event("progress", "environment", line, unit="step"))

        uv = Uv(find_uv(), lock, self.environments.parent / "cache" / "uv", index, told)
        interpreter = local_env.find_python(python, uv.program)
        report(Event("done", "python", f"{interpreter.version}, {interpreter.path}"))
        java = local_env.find_java(dict(os.environ))
        if java is not None:
            report(Event("done", "java", f"{java.version}, {java.home}"))
        wanted = b"\0".join(path.read_bytes() for path in self.requirements)
        wanted += "".join(f"\0+{line}" for line in self.more).encode()
        wanted += f"\0@{self.contents.index}".encode() if self.contents.index else b""
        key = local_env.environment_key(wanted, interpreter, own_java=java is None)
        folder = self.environments / key
        environment = local_env.read_environment(folder)
        if environment is None:
            environment = local_env.make_environment(
                folder, self.requirements, interpreter, java, uv, report, self.more
            )
        self._copy()
        self._try(environment, report)
        before = read_entry(self.entry).get("references", [])
        self._register(environment, python, before)
        return self._result(environment, reused=False)

    def _try(self, environment: Environment, report: Report) -> None:
        if not self.trial.wanted:
            report(Event("note", "smoke test", "skipped: build.smoke_test is off"))
            return
        report(Event("start", "smoke test", "starting the server"))
        steps, took = local_smoke.run(
            self._entrypoint(environment), environment.served_with, self.trial
        )
        report(Event("done", "smoke test", f"{steps} in {took:.1f} s"))

    def _entrypoint(self, environment: Environment) -> list[str]:
        relayed = (str(self.relay),) if self._relayed else ()
        return [str(environment.executable), *relayed, str(self.folder / "entrypoint.py")]

    @cached_property
    def _relayed(self) -> bool:
        """Whether the server of the context knows no Unix sockets, and is run by the relay."""
        return not knows_sockets(self.context)

    def _copied(self) -> bool:
        """Whether the context's copy is as it should be, and the relay, if it needs one."""
        if not self.folder.is_dir():
            return False
        if context_digest(self.folder) != digest_of(self.files):
            return False
        return not self._relayed or _same(_RELAY, self.relay)

    def _copy(self) -> None:
        if self._copied():
            return
        partial = self.relay.with_suffix(".partial")
        partial.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(_RELAY, partial)
        partial.replace(self.relay)
        partial = self.folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        copy(self.files, partial)
        partial.rename(self.folder)

    def _register(
        self, environment: Environment, python: str | None, references: list[str]
    ) -> None:
        entry = {
            "reference": self.reference,
            "references": sorted({*references, self.reference}),
            "digest": self.digest,
            "entrypoint": self._entrypoint(environment),
            "environment": environment.served_with,
            "frameworks": list(self.served),
            "built_with": f"{__version__} {context_digest(self.context)}",
            "build": {
                "environment": str(environment.folder),
                "python": python,
                "tried": self.trial.key(),
            },
        }
        files.write_json(self.entry, entry, indent=1)

    def _result(self, environment: Environment, *, reused: bool) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "digest": self.digest,
            "path": self.folder,
            "python": environment.python.version,
            "java": environment.java.version,
            "reused": reused,
        }


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def read_entry(path: Path) -> dict[str, Any]:
    """What is registered in a file; empty where nothing is."""
    raw = files.read_json(path)
    return raw if isinstance(raw, dict) else {}
