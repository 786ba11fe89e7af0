"""The login of a package index, from the environment to what installs packages.

`MMECTL_INDEX_LOGIN` is ``USER:PASSWORD``. uv gets it in the address, as a variable of its process;
a Dockerfile as a secret of the build, a file as ~/.netrc, which is in no layer and no log. In a
Dockerfile the line ``# secret: mmectl-index PLACE`` says that the RUN after it may see the file.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmectl.base.errors import BuildError

VARIABLE = "MMECTL_INDEX_LOGIN"
IDENTITY = "mmectl-index"
DOCKERFILE, NETRC = "Dockerfile", "netrc"
_MARK = re.compile(rf"^# secret: {IDENTITY} (\S+)\nRUN ", re.MULTILINE)
_MEMORY = Path("/dev/shm")  # noqa: S108 - the password must not reach a disk


def _login(environ: Mapping[str, str]) -> tuple[str, str] | None:
    given = environ.get(VARIABLE)
    if not given:
        return None
    user, colon, password = given.partition(":")
    if not user or not colon or re.search(r"\s", given):
        raise BuildError(
            f"{VARIABLE} is no login", hint=f"export {VARIABLE}=USER:PASSWORD", code="index_login"
        )
    return user, password


def with_login(index: str, environ: Mapping[str, str]) -> str:
    """The address of an index with the login of the environment, where there is one."""
    login = _login(environ)
    if login is None:
        return index
    parts = urllib.parse.urlsplit(index)
    quoted = ":".join(urllib.parse.quote(word, "") for word in login)
    return parts._replace(netloc=f"{quoted}@{parts.netloc}").geturl()


def netrc(index: str | None, environ: Mapping[str, str]) -> str:
    """The login of an index as ~/.netrc has it; empty where there is none."""
    login = _login(environ)
    host = urllib.parse.urlsplit(index or "").hostname
    if login is None or host is None:
        return ""
    return f"machine {host} login {login[0]} password {login[1]}\n"


def refuse(netrc: str, why: str) -> None:
    """Raise BuildError where there is a login, which this builder cannot keep secret."""
    if netrc:
        raise BuildError(
            f"{VARIABLE} cannot be kept secret: {why}",
            hint="apt-get install docker-buildx, or build.backend: buildah",
            code="index_login",
        )


@contextlib.contextmanager
def staged(context: Path, netrc: str) -> Iterator[Path]:
    """A folder of ours alone, in memory, with the login and the Dockerfile that may see it."""
    where = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="mmectl-", dir=where) as name:
        folder = Path(name)
        (folder / NETRC).touch(mode=0o600)
        (folder / NETRC).write_text(netrc)
        (folder / DOCKERFILE).write_text(mounted((context / "Dockerfile").read_text("utf-8")))
        yield folder


def mounted(dockerfile: str) -> str:
    """The Dockerfile whose marked steps see the login. Raises BuildError where none is marked."""
    marked = rf"# secret: {IDENTITY} \1\nRUN --mount=type=secret,id={IDENTITY},target=\1 "
    made, count = _MARK.subn(marked, dockerfile)
    if not count:
        raise BuildError(
            f"the Dockerfile does not say where it wants the login of {VARIABLE}",
            hint=f"the line '# secret: {IDENTITY} /root/.netrc' before the RUN that installs",
            code="index_login",
        )
    return made


def hidden(text: str, environ: Mapping[str, str]) -> str:
    """A text of a program without the password."""
    password = environ.get(VARIABLE, "").partition(":")[2]
    for word in {password, urllib.parse.quote(password, "")} - {""}:
        text = text.replace(word, "****")
    return text
