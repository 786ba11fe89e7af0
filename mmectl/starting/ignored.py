"""What of a project git should ignore, and which of that an existing .gitignore lacks; pure."""

from __future__ import annotations

import fnmatch

FILE = ".gitignore"
LINES = (".mmectl/", "__pycache__/")  # mmectl's own state with its keys; compiled Python
_HEAD = "# written by mmectl init"


def new() -> bytes:
    """A whole .gitignore."""
    return "\n".join([_HEAD, *LINES, ""]).encode()


def missing(content: bytes) -> tuple[str, ...]:
    """The lines that a .gitignore lacks. What a later ``!line`` takes back is lacking, too."""
    rules = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
    return tuple(line for line in LINES if not _ignored(line.rstrip("/"), rules))


def _ignored(name: str, rules: list[str]) -> bool:
    found = False
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/").removeprefix("/").rstrip("/")
        if pattern and not rule.startswith("#") and fnmatch.fnmatchcase(name, pattern):
            found = not rule.startswith("!")
    return found


def with_lines(content: bytes, lines: tuple[str, ...]) -> bytes:
    """The same file with lines more at its end, in its own line ends."""
    end = b"\r\n" if b"\r\n" in content else b"\n"
    before = content + (end if content and not content.endswith(b"\n") else b"")
    return before + b"".join(line.encode() + end for line in lines)
