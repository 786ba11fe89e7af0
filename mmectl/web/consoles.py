"""The consoles of a project that run, and codes that are left for them.

A console holds the lock of ``<state_dir>/consoles/<port>/lock`` while it runs. `mmectl console
--open` leaves the digest of a code beside it: whoever may write there may sign in, and what lies
there signs nobody in. A page that leads the browser to the address has the code, and only its owner
may read it; it goes with the code, or with the console.
"""

from __future__ import annotations

import html
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmectl.base.files import locked
from mmectl.web import codes

_LOCK, _PAGE = "lock", ".html"


class _HeldError(Exception):
    """Another process holds the lock."""


@contextmanager
def announced(state_dir: Path, port: int) -> Iterator[Path]:
    """Say that a console runs on that port; yields the folder where codes are left for it."""
    folder = _folder(state_dir, port)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(folder / _LOCK):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def running(state_dir: Path) -> list[int]:
    """The ports of the consoles that run, that which began last first."""
    found = [path for path in (state_dir / "consoles").glob("*") if path.name.isdecimal()]
    held = [path for path in found if _held(path)]
    return [int(path.name) for path in sorted(held, key=_begun, reverse=True)]


def leave(state_dir: Path, port: int) -> str:
    """A code for the console on that port. Raises OSError where it has ended meanwhile."""
    folder, code = _folder(state_dir, port), codes.new()
    for path in folder.iterdir():
        with suppress(OSError):  # taken meanwhile
            if path.name != _LOCK and _age(path) > codes.LIFETIME:
                path.unlink()  # nobody came
    (folder / codes.digest(code)).touch(mode=0o600)
    return code


def address(port: int, code: str) -> str:
    """What signs a tab in."""
    return f"http://127.0.0.1:{port}/#code={code}"


def page(state_dir: Path, port: int, code: str) -> Path:
    """Write the page that leads a browser to the address: all may read a command line."""
    path = _folder(state_dir, port) / f"{codes.digest(code)}{_PAGE}"
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(leading(address(port, code)), "utf-8")
    return path


def leading(address: str) -> str:
    """A page of HTML that leads on to an address."""
    return f'<meta http-equiv="refresh" content="0;url={html.escape(address, quote=True)}">\n'


def taken(folder: Path, kept: str) -> bool:
    """Take a code that was left, by its digest; False where there is none, or it is too old."""
    path = folder / kept
    (folder / f"{kept}{_PAGE}").unlink(missing_ok=True)
    try:
        age = _age(path)
        path.unlink()  # of two that take it one gets it
    except OSError:
        return False
    return age < codes.LIFETIME


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _folder(state_dir: Path, port: int) -> Path:
    return state_dir / "consoles" / str(port)


def _held(folder: Path) -> bool:
    """Whether a console runs there; what one that was killed has left is removed."""

    def held() -> None:
        raise _HeldError

    try:
        with locked(folder / _LOCK, held):
            shutil.rmtree(folder, ignore_errors=True)
    except _HeldError:
        return True
    return False


def _begun(folder: Path) -> float:
    try:
        return (folder / _LOCK).stat().st_mtime
    except OSError:
        return 0.0
