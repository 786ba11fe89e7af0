"""The entries on errors of docs/troubleshooting/: read, looked up and found by a message's words.

An entry begins at a heading of the second rank that is its code, or an error's own words; the pages
are packaged, so that they can be read without a network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mmectl.base.errors import UsageError

_HEADING = re.compile(r"## (.+)")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_WORD = re.compile(r"[a-z0-9_]{3,}")
_ENOUGH = 0.6  # of the words of a message, in an entry that may tell of it
_FEW = 2  # words of a heading that say nothing alone
_SHOWN = 5


def read(folder: Path) -> dict[str, str]:
    """The text below each heading of the pages in a folder. Raises UsageError where none are."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.md")):
        found.update(_entries(path.read_text("utf-8")))
    if not found:
        raise UsageError(
            f"there are no pages in {folder}", hint="install mmectl again", code="unreadable_file"
        )
    return found


def _entries(page: str) -> Iterator[tuple[str, str]]:
    parts = re.split(r"(?m)^(?=## )", page)
    for part in parts:
        head, _, text = part.partition("\n")
        if heading := _HEADING.fullmatch(head):
            yield heading[1], text.strip()


def plain(text: str) -> str:
    """An entry for a terminal: blocks are indented, marks of Markdown are gone."""
    lines: list[str] = []
    block = False
    for line in text.splitlines():
        if line.startswith("```"):
            block = not block
        elif block:
            lines.append(f"    {line}".rstrip())
        else:
            lines.append(_LINK.sub(r"\1", line).replace("**", "").replace("`", ""))
    return "\n".join(lines)


def about(message: str, entries: Mapping[str, str]) -> list[str]:
    """The headings of the entries that have most of a message's words, best first.

    One alone where the message has all words of an entry's own.
    """
    wanted = _words(message)
    named = [name for name in entries if len(words := _words(name)) > _FEW and words <= wanted]
    if len(named) == 1:
        return named
    ranked = sorted(
        (-_share(_words(name), wanted), -share, name)
        for name, text in entries.items()
        if (share := _share(wanted, _words(f"{name} {text}"))) >= _ENOUGH
    )
    return [name for _, _, name in ranked[:_SHOWN]]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))


def _share(wanted: set[str], held: set[str]) -> float:
    """How much of what is wanted is held."""
    return len(wanted & held) / len(wanted) if wanted else 0.0
