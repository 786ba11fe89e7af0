"""Check the links between Markdown files as GitHub follows them: files, folders, headings.

Links to other sites are not followed.

Usage: python scripts/links.py
"""

from __future__ import annotations

import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("docs", "examples", "tests", "container", "benchmarks", ".github")
_ELSEWHERE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//")  # a scheme, or another host
_HTML_TARGET = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=\"([^\"]+)\"")
_HTML_ANCHOR = re.compile(r"<\w+\b[^>]*?\b(?:id|name)=\"([^\"]+)\"")


def main() -> int:
    """Print what leads nowhere; 1 where something does."""
    pages = [*sorted(ROOT.glob("*.md")), *(p for f in FOLDERS for p in (ROOT / f).rglob("*.md"))]
    problems = [problem for page in pages for problem in broken(page, ROOT)]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def broken(page: Path, root: Path) -> Iterator[str]:
    """What leads nowhere of a page's links; `root` is the project's folder."""
    for line, target in links(page.read_text(encoding="utf-8")):
        if problem := _problem(page, target, root):
            yield f"{page.relative_to(root)}:{line}: {target}: {problem}"


def _problem(page: Path, target: str, root: Path) -> str | None:
    if _ELSEWHERE.match(target):
        return None
    name, _, anchor = target.partition("#")
    if name.startswith("/"):
        return "is absolute: the site may lie in a folder; name it from this page on"
    file = (page.parent / unquote(name)).resolve() if name else page
    if not file.is_relative_to(root):
        return "lies outside the project"
    if not file.exists():
        return "there is no such file"
    if anchor and file.suffix == ".md" and unquote(anchor) not in anchors(file):
        return f"no heading of {file.relative_to(root)} gives this anchor"
    return None


def links(text: str) -> Iterator[tuple[int, str]]:
    """The targets of a page's links and pictures, each with the line of its paragraph."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        line = token.map[0] + 1 if token.map else 0
        for part in [token, *(token.children or [])]:
            target = part.attrs.get("href") or part.attrs.get("src")
            if isinstance(target, str):
                yield line, target
            if part.type in ("html_block", "html_inline"):
                yield from ((line, found) for found in _HTML_TARGET.findall(part.content))


@cache
def anchors(page: Path) -> frozenset[str]:
    """What can stand after ``#`` in a link to a page."""
    text = page.read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark").parse(text)
    titles = [
        _plain(after) for token, after in itertools.pairwise(tokens) if token.type == "heading_open"
    ]
    seen: Counter[str] = Counter()
    found = set(_HTML_ANCHOR.findall(text))
    for name in map(slug, titles):
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return frozenset(found)


def slug(title: str) -> str:
    """The anchor of a heading: lower case, spaces as hyphens, no punctuation."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def _plain(token: Token) -> str:
    """The words of a heading, without its markup."""
    children = token.children or []
    return "".join(child.content for child in children if child.type in ("text", "code_inline"))


if __name__ == "__main__":
    sys.exit(main())
