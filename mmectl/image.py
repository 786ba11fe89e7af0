"""The image that serves models: digest of its context, references, and the local build.

A local image is a serving environment plus a copy of the context, registered in a file that
is written last. Whatever is interrupted is not registered and is made again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmectl.base import partitions
from mmectl.base.errors import BuildError
from mmectl.base.values import Event, Report, ignore
from mmectl.images import local_env as serving_env
from mmectl.images import local_smoke as serving_smoke
from mmectl.images.context import context_digest, context_files
from mmectl.images.forward import Serving
from mmectl.images.local_env import Environment
from mmectl.images.trial import Trial
from mmectl.images.uv import Uv, find_uv

REQUIRED = ("entrypoint.py", "model_handler.py", "requirements.txt")
TAG_LENGTH = 12


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


def image_digest(context: str, platform: str, base_image: str | None) -> str:
    """Digest what an image is made of: the digest of its context, platform, base image.

    For linux/amd64 and the Dockerfile's own base it is the context's.
    """
    if platform == "linux/amd64" and base_image is None:
        return context
    whole = hashlib.sha256(f"{context}\0{platform}\0{base_image or ''}".encode())
    return f"sha256:{whole.hexdigest()}"


def reference(account: str, region: str, repository: str, digest: str) -> str:
    """Name an image as ECR does; the tag is the first 12 hex digits of its digest."""
    suffix = partitions.of(region).suffix
    tag = digest.removeprefix("sha256:")[:TAG_LENGTH]
    return f"{account}.dkr.ecr.{region}.{suffix}/{repository}:{tag}"


def build_local(
    context: Path,
    state_dir: Path,
    *,
    account: str,
    region: str,
    repository: str,
    python: str | None = None,
    trial: Trial = Trial(),  # noqa: B008 - frozen
    report: Report = ignore,
) -> BuiltImage:
    """Prepare and register the image of `context`; does nothing where it is there already.

    `python` is a path or a version; None takes the Python that runs mmectl where it can. What
    was tried otherwise than `trial` says is tried again.
    Raises BuildError; nothing is registered then.
    """
    started = time.monotonic()
    missing = [name for name in REQUIRED if not (context / name).is_file()]
    digest = context_digest(context)
    if missing:
        raise BuildError(f"the image context {context} lacks {', '.join(missing)}")
    state_dir = state_dir.resolve()
    name = reference(account, region, repository, digest)
    build = _Build(context, state_dir, digest, name, trial)
    try:
        done = build.known(python)
        if done is None:
            with locked(state_dir, report) as lock:
                done = build.known(python) or build.run(python, lock, report)
    except OSError as error:
        raise _disk_error(error, state_dir) from error
    return BuiltImage(**{**done, "seconds": time.monotonic() - started})


def _disk_error(error: OSError, state_dir: Path) -> BuildError:
    if error.errno == errno.ENOSPC:
        return BuildError(f"cannot build: the disk of {state_dir} is full", hint="free about 1 GB")
    return BuildError(f"cannot build: {error}")


@contextlib.contextmanager
def locked(state_dir: Path, report: Report) -> Iterator[int]:
    """Hold the build lock of the project; uv inherits it, so an orphaned uv holds it too."""
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(state_dir / "build.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(Event("note", "lock", "waiting for another build of this project"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def owner(state_dir: Path) -> str:
    """Name whoever builds under the lock of `state_dir`, for all that a killed build may leave."""
    whole = f"{socket.gethostname()}\0{os.getuid()}\0{state_dir.resolve()}"
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def is_built(state_dir: Path, digest: str) -> bool:
    """Whether the local image of that digest is registered and its parts are still there."""
    folder = state_dir / "images" / digest.removeprefix("sha256:")
    entry = _read_json(folder.with_suffix(".json"))
    try:
        program = Path(entry["entrypoint"][0])
    except (KeyError, TypeError, IndexError):
        return False
    return folder.is_dir() and program.exists()


def serving(context: Path, state_dir: Path) -> Serving:
    """The serving environment that was built from `context`. Raises BuildError ``not_built``."""
    digest = context_digest(context)
    if not is_built(state_dir, digest):
        raise BuildError(
            f"the serving environment of {context}/ is not built",
            hint="mmectl build --platform local --set local.runtime=process",
            code="not_built",
        )
    folder = state_dir / "images" / digest.removeprefix("sha256:")
    entry = _read_json(folder.with_suffix(".json"))
    return Serving(entry["entrypoint"][0], folder, entry["environment"])


def tried_image(state_dir: Path, digest: str) -> str | None:
    """The engine's id of the container image of that digest, if it was built and tried here."""
    return _read_json(_tried(state_dir, digest)).get("id")


def tried_as(state_dir: Path, digest: str, trial: Trial) -> bool:
    """Whether the engine's image of that digest was tried as `trial` says, if it says anything."""
    before = _read_json(_tried(state_dir, digest)).get("tried", Trial().key())
    return not trial.wanted or before == trial.key()


def remember_tried(
    state_dir: Path,
    digest: str,
    identity: str,
    trial: Trial = Trial(),  # noqa: B008 - frozen
) -> None:
    """Write down that the engine's image of that digest was built and tried."""
    path = _tried(state_dir, digest)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(".engine.partial")
    partial.write_text(json.dumps({"id": identity, "tried": trial.key()}))
    partial.replace(path)


def _tried(state_dir: Path, digest: str) -> Path:
    return state_dir / "images" / f"{digest.removeprefix('sha256:')}.engine"


class _Build:
    """One build: where its parts go, and what is known of it."""

    def __init__(
        self, context: Path, state_dir: Path, digest: str, name: str, trial: Trial
    ) -> None:
        hexadecimal = digest.removeprefix("sha256:")
        self.context = context
        self.digest = digest
        self.reference = name
        self.trial = trial
        self.environments = state_dir / "envs"
        self.folder = state_dir / "images" / hexadecimal
        self.entry = self.folder.with_suffix(".json")

    def known(self, python: str | None) -> dict[str, Any] | None:
        """What is registered, where it is complete, can run, and is what is asked for."""
        entry = _read_json(self.entry)
        try:
            environment = serving_env.read_environment(Path(entry["build"]["environment"]))
            wanted = entry["build"]["python"]
            references = entry["references"]
        except (KeyError, TypeError):
            return None
        if environment is None or wanted != python or not self._copied():
            return None
        if self.trial.wanted and entry["build"].get("tried", Trial().key()) != self.trial.key():
            return None
        if self.reference not in references:
            self._register(environment, python, references)
        return self._result(environment, reused=True)

    def run(self, python: str | None, lock: int, report: Report) -> dict[str, Any]:
        """Make what is lacking, try it, register it."""
        report(Event("start", "python", "looking for a Python that can serve"))
        uv = Uv(find_uv(), lock, self.environments.parent / "cache" / "uv")
        interpreter = serving_env.find_python(python, uv.program)
        report(Event("done", "python", f"{interpreter.version}, {interpreter.path}"))
        java = serving_env.find_java(dict(os.environ))
        if java is not None:
            report(Event("done", "java", f"{java.version}, {java.home}"))
        requirements = self.context / "requirements.txt"
        key = serving_env.environment_key(
            requirements.read_bytes(), interpreter, own_java=java is None
        )
        folder = self.environments / key
        environment = serving_env.read_environment(folder)
        if environment is None:
            environment = serving_env.make_environment(
                folder, requirements, interpreter, java, uv, report
            )
        self._copy()
        self._try(environment, report)
        before = _read_json(self.entry).get("references", [])
        self._register(environment, python, before)
        return self._result(environment, reused=False)

    def _try(self, environment: Environment, report: Report) -> None:
        if not self.trial.wanted:
            report(Event("note", "smoke test", "skipped: build.smoke_test is off"))
            return
        report(Event("start", "smoke test", "starting the server"))
        steps, took = serving_smoke.run(
            self._entrypoint(environment), environment.variables, self.trial
        )
        report(Event("done", "smoke test", f"{steps} in {took:.1f} s"))

    def _entrypoint(self, environment: Environment) -> list[str]:
        return [str(environment.executable), str(self.folder / "entrypoint.py")]

    def _copied(self) -> bool:
        return self.folder.is_dir() and context_digest(self.folder) == self.digest

    def _copy(self) -> None:
        if self._copied():
            return
        partial = self.folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        for path in context_files(self.context):
            target = partial / path.relative_to(self.context)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        partial.rename(self.folder)

    def _register(
        self, environment: Environment, python: str | None, references: list[str]
    ) -> None:
        entry = {
            "reference": self.reference,
            "references": sorted({*references, self.reference}),
            "digest": self.digest,
            "entrypoint": self._entrypoint(environment),
            "environment": environment.variables,
            "build": {
                "environment": str(environment.folder),
                "python": python,
                "tried": self.trial.key(),
            },
        }
        partial = self.entry.with_suffix(".json.partial")
        partial.write_text(json.dumps(entry, indent=1))
        partial.replace(self.entry)

    def _result(self, environment: Environment, *, reused: bool) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "digest": self.digest,
            "path": self.folder,
            "python": environment.python.version,
            "java": environment.java.version,
            "reused": reused,
        }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) else {}
