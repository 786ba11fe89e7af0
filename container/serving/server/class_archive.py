"""An archive of the classes that Java has read and checked: the server starts in half the time.

Java makes one when it ends (-XX:ArchiveClassesAtExit, from Java 13 on) and maps it into memory at
the next start. It is good for the same Java, arguments and jars alone, so its name is a digest of
them; Java itself looks too, and reads the classes where anything is different. One that was cut
would crash it: so the size is in the name as well, and Java compares checksums. Variables:

======================  ====================================================================
MMECTL_CLASS_ARCHIVE    the folder of archives; without it, classes are read at each start
MMECTL_CLASS_ARCHIVING  1: make the archive that is not there, once the server has been asked
======================  ====================================================================
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = "MMECTL_CLASS_ARCHIVE"
ARCHIVING = "MMECTL_CLASS_ARCHIVING"
OLDEST = 13
SECONDS = 60.0  # which making one may take; a second as a rule
_VERSION = re.compile(r'^JAVA_VERSION="(\d+)', re.MULTILINE)
_OPTION = "-XX:SharedArchiveFile="
_VERIFY = "-XX:+VerifySharedSpaces"  # 10 ms


@dataclass(frozen=True)
class ClassArchive:
    """What Java is told about an archive, and what it makes: `made`, to be kept as `name`."""

    arguments: tuple[str, ...] = ()
    name: str = ""
    made: Path | None = None

    def keep(self) -> None:
        """Keep what was made, now that Java has ended, and no archive that is older."""
        if self.made is None or not self.made.is_file():
            return
        kept = _kept(self.made, self.name)
        for other in kept.parent.glob("*.jsa"):
            if not other.name.startswith(self.name):
                other.unlink(missing_ok=True)


def find(
    environ: Mapping[str, str], java: str, arguments: Sequence[str], first: Path, others: Path
) -> ClassArchive:
    """The archive for a start with these arguments; one that is to be made, where that is asked.

    On the class path are the jar `first`, which is the same wherever it lies, and the folder of the
    `others`.
    """
    if not environ.get(FOLDER) or version(java) < OLDEST:
        return ClassArchive()
    folder = Path(environ[FOLDER])
    name = _digest(java, arguments, first, others)
    if path := _whole(folder, name):
        return ClassArchive((f"{_OPTION}{path}", _VERIFY))
    if environ.get(ARCHIVING) != "1":
        return ClassArchive()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = _base(java, arguments, folder, f"{name}-base")
    made = folder / f"{name}.{os.getpid()}"
    given = (f"{_OPTION}{base}",) if base else ()
    return ClassArchive((*given, f"-XX:ArchiveClassesAtExit={made}"), name, made)


def _kept(made: Path, name: str) -> Path:
    """Put an archive where `_whole` finds it, once all of it is on the disk."""
    with made.open("rb") as file:
        os.fsync(file.fileno())
    return made.replace(made.with_name(f"{name}-{made.stat().st_size}.jsa"))


def _whole(folder: Path, name: str) -> Path | None:
    """The archive of that name, where it and what it stands on are of the size that they had."""
    found = list(folder.glob(f"{name}-*.jsa"))
    sizes = {path: path.stem.rpartition("-")[2] for path in found}
    if any(sizes[path] != str(path.stat().st_size) for path in found):
        return None
    return next((path for path in found if path.stem == f"{name}-{sizes[path]}"), None)


def version(java: str) -> int:
    """The major version of a Java, as it tells in a file; 0 where it does not."""
    try:
        found = _VERSION.search((_home(java) / "release").read_text("utf-8", "replace"))
    except OSError:
        return 0
    return int(found[1]) if found else 0


def _home(java: str) -> Path:
    return Path(java).resolve().parents[1]


def _digest(java: str, arguments: Sequence[str], first: Path, others: Path) -> str:
    files = [Path(java).resolve(), *sorted(others.resolve().glob("*.jar"))]
    whole = hashlib.sha256(repr((list(arguments), [_stamp(one) for one in files])).encode())
    whole.update(first.read_bytes())
    return whole.hexdigest()[:16]


def _stamp(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns


def _base(java: str, arguments: Sequence[str], folder: Path, name: str) -> Path | None:
    """An archive of Java's own classes, on which the other stands; None where Java brings one."""
    if list((_home(java) / "lib" / "server").glob("classes*.jsa")):
        return None
    made = folder / f"{name}.{os.getpid()}"
    done = subprocess.run(
        [java, *arguments, "-Xshare:dump", f"{_OPTION}{made}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return None if done.returncode else _kept(made, name)
