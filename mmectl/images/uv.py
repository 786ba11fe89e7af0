"""Running uv, which installs the serving environment, and putting its failures into words."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sysconfig
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from mmectl.base import extras
from mmectl.base.errors import BuildError
from mmectl.images.index_login import hidden

# what uv says of packages as it goes on; no address, no login
_GOING_ON = re.compile(r"\s*((?:Downloading|Downloaded|Prepared|Resolved|Installed|Building) .+)")
# what it says beside the failure: how it copies where it cannot link
_BESIDE = ("warning: Failed to hardlink", "If the cache and target", "If this is intentional")
_KEPT = 200  # lines of uv's that are read again when it fails
_CERTIFICATE = re.compile(r"invalid peer certificate|certificate verify failed|unknownissuer")
# What uv says (lower case), what it means, what to do; the first that fits counts.
_WORDS = (
    (
        os.strerror(errno.ENOSPC).lower(),
        "the disk is full",
        "free about 1 GB, or move uv's cache with UV_CACHE_DIR",
    ),
    (
        os.strerror(errno.EROFS).lower(),
        "its file system is read-only",
        "set local.state_dir, or UV_CACHE_DIR, to a folder that you may write",
    ),
    (
        r"failed to initialize cache|permission denied",
        "a folder cannot be written",
        "set UV_CACHE_DIR to a folder that you may write, and see who owns local.state_dir",
    ),
    (
        _CERTIFICATE.pattern,
        "the package index has a certificate that this machine does not trust",
        "name your network's certificates: export SSL_CERT_FILE=/path/to/bundle.pem",
    ),
    (
        r"hash mismatch",
        "a package is not the one that was meant: its checksum differs",
        "name another index with UV_DEFAULT_INDEX; in a broken cache: uv cache clean",
    ),
    (
        r"\b401\b|\b407\b|valid authentication credentials",
        "the package index, or the proxy before it, wants a login",
        "put it into the address: UV_DEFAULT_INDEX=https://USER:PASSWORD@HOST/simple, or ~/.netrc",
    ),
    (
        r"\b403 forbidden",
        "the package index refuses",
        "check the address and the login in UV_DEFAULT_INDEX or PIP_INDEX_URL",
    ),
    (
        r"no wheels? with a matching|no (usable )?wheels|failed to build|requires-python|"
        r"python version",
        "a package is not there for this Python or this machine",
        "try another Python: mmectl build --set image.python=3.11, or an index with its wheels",
    ),
    (
        r"was not found in the package registry|there is no version of|no solution found|\b404\b",
        "the package index lacks a package",
        "name an index that has all of PyPI: UV_DEFAULT_INDEX=https://HOST/simple",
    ),
    (
        r"error sending request|dns error|failed to lookup address|connection refused|"
        r"network is unreachable|timed out|the network was disabled|server error|failed to fetch",
        "the package index does not answer",
        "check the connection and HTTPS_PROXY, or name a mirror with UV_DEFAULT_INDEX",
    ),
)


def find_uv() -> str:
    """Find the uv program: beside this Python, in the uv package, or on the PATH."""
    own = Path(sysconfig.get_path("scripts"), "uv")
    if own.is_file():
        return str(own)
    try:
        import uv
    except ImportError:
        found = shutil.which("uv")
    else:
        try:
            found = str(uv.find_uv_bin())
        except FileNotFoundError:
            found = shutil.which("uv")
    if found is None:
        raise BuildError(
            "cannot make the serving environment: uv is not installed",
            hint=extras.install("local"),
            code="no_uv",
        )
    return found


class Uv:
    """Runs uv with the user's own settings (UV_*, uv.toml).

    `held` is a descriptor that uv inherits: the lock of the build lasts as long as uv runs,
    also when we are killed. `cache` is where packages are kept if the usual place cannot be
    written. `index` is a package index beside the user's own, perhaps with a login: it stands in
    uv's environment alone. `told` hears what is downloaded and installed.
    """

    def __init__(
        self,
        program: str,
        held: int | None = None,
        cache: Path | None = None,
        index: str | None = None,
        told: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.program = program
        self._told = told
        self._index = index
        self._held = held
        self._cache = cache

    def install(self, folder: Path, *arguments: str, dependencies: bool = False) -> None:
        """Install packages: without what they need, where the list is complete."""
        python = str(folder / "bin" / "python")
        alone = () if dependencies else ("--no-deps",)
        self.run("pip", "install", *alone, "--python", python, *arguments)

    def run(self, *arguments: str) -> None:
        """Run uv; raises BuildError with its last words.

        Where it does not trust a certificate it is asked again with those of the system.
        """
        environment = with_index(uv_environment(os.environ, self._cache), self._index)
        output = self._failure(arguments, environment)
        if output is not None and _CERTIFICATE.search(output.lower()):
            output = self._failure(arguments, {**SYSTEM_CERTIFICATES, **environment})
        if output is not None:
            raise explain(arguments, hidden(output, os.environ), self._index is not None)

    def _failure(self, arguments: tuple[str, ...], environment: Mapping[str, str]) -> str | None:
        """What uv said when it failed; None where it did what was asked."""
        kept: deque[str] = deque(maxlen=_KEPT)
        try:
            with subprocess.Popen(
                [self.program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                pass_fds=() if self._held is None else (self._held,),
                env=environment,
            ) as process:
                for line in process.stderr or ():
                    kept.append(line)
                    if found := _GOING_ON.match(line):
                        self._told(found[1])
        except OSError as error:
            raise BuildError(
                f"cannot run {self.program}: {error.strerror or error}",
                hint=extras.add("uv"),
                code="no_uv",
            ) from error
        return None if process.returncode == 0 else "".join(kept)


SYSTEM_CERTIFICATES = {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"}  # new and old name


def with_index(environment: Mapping[str, str], index: str | None) -> dict[str, str]:
    """The environment with a further index, before those that it names already.

    Versions are exact, so they are taken from whichever index has them, as pip does.
    """
    if index is None:
        return dict(environment)
    more = " ".join(filter(None, [index, environment.get("UV_INDEX")]))
    return {"UV_INDEX_STRATEGY": "unsafe-best-match", **environment, "UV_INDEX": more}


def uv_environment(environ: Mapping[str, str], cache: Path | None = None) -> dict[str, str]:
    """Make uv's environment: the user's own, with pip's index where uv has none of its own.

    `cache` is for where neither UV_CACHE_DIR is set nor the usual place can be written.
    """
    made = {name: value for name, value in environ.items() if name != "VIRTUAL_ENV"}
    index = environ.get("PIP_INDEX_URL")
    if index and not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & set(environ):
        made["UV_DEFAULT_INDEX"] = index
    if cache is not None and "UV_CACHE_DIR" not in environ and not _can_cache(environ):
        made["UV_CACHE_DIR"] = str(cache)
    return made


def _can_cache(environ: Mapping[str, str]) -> bool:
    """Whether uv's usual cache is there or can be made, and written."""
    home = environ.get("HOME") or "/"
    folder = Path(environ.get("XDG_CACHE_HOME") or Path(home, ".cache"), "uv")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def check_programs_run(folder: Path, flags: int | None = None) -> None:
    """Raise BuildError where the folder's file system does not let programs run.

    `flags` are its mount flags; None: looked up.
    """
    if (os.statvfs(folder).f_flag if flags is None else flags) & os.ST_NOEXEC:
        raise BuildError(
            f"cannot make the serving environment in {folder}: its file system does not allow "
            "programs (noexec)",
            hint="set local.state_dir to a folder of another file system",
            code="noexec",
        )


def explain(arguments: tuple[str, ...], output: str, further: bool = False) -> BuildError:
    """Put a failure of uv into words; `further`: there was an index beside the usual one."""
    lines = (line.strip() for line in output.splitlines())
    told = [line for line in lines if line and not line.startswith(_BESIDE)]
    last = " ".join(told[-4:]) or "no output"
    lowered = output.lower()
    for pattern, meaning, hint in _WORDS:
        if re.search(pattern, lowered):
            fix = f"{hint}; the index of image.index" if further else hint
            return BuildError(
                f"cannot make the serving environment: {meaning}: {last}",
                hint=fix,
                code="environment_failed",
            )
    return BuildError(
        f"cannot make the serving environment: uv {arguments[0]} failed: {last}",
        hint="mmectl build --verbose",
        code="environment_failed",
    )
