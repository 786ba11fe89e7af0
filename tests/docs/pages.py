"""A page of the documentation as a session: what it types, and what it says comes back.

The convention stands in tests/docs/README.md.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

PROMPT, MORE = "$ ", "> "
_TITLE = re.compile(r'\btitle="([^"]+)"')
_SETUP = re.compile(r"<!--\s*setup:\s*(.*?)-->", re.DOTALL)
_CONTINUES = re.compile(r"<!--\s*continues:\s*(\S+)\s*-->")
_NEEDS = re.compile(r"<!--\s*needs:\s*(\S+)\s*-->")
_NOT_PLAYED = re.compile(r"<!--\s*not played:\s*(.*?)\s*-->")
_MMECTL = re.compile(  # where a shell takes a word as a command
    r"(?:^\W*|^\W*[\w-]+ +\S+ +|run: |[|&;(] *|\w=\S+ +)mmectl +[a-z-]", re.MULTILINE
)
REASONS = {"AWS", "terminal", "PyTorch"}  # why commands are shown alone; the page says so in words
_CONSOLE = re.compile(r"\s*(```|~~~)\s*console\b")


class BadPage(ValueError):
    """A page that does not keep to the convention."""


@dataclass(frozen=True, eq=False)  # the same command twice is two steps
class Step:
    """One command, and the lines of output that the page shows after it.

    The output stands in the lines `start` to `stop` of the page, counted from 0, `stop` excluded.
    """

    command: str
    start: int
    stop: int
    output: str = ""
    indent: str = ""
    shown: bool = True  # else its output is not compared

    @property
    def line(self) -> int:
        """The line of the command, as editors count."""
        return self.start


def steps(text: str) -> list[Step]:
    """What is to be done for a page, from top to bottom."""
    found = [step for token in _blocks(text) for step in _of(token, text.splitlines())]
    prompts = sum(step.shown for step in found)
    fences = sum(bool(_CONSOLE.match(line)) for line in text.splitlines())
    if fences > sum(_language(token) == "console" for token in _blocks(text)):
        raise BadPage("a console block is indented by four spaces or more: it is no block")
    if fences and not prompts:
        raise BadPage("its console blocks hold no command")
    return found


def rewritten(text: str, outputs: Mapping[Step, str]) -> str:
    """The page with other output after these steps."""
    lines = text.splitlines()
    for step in sorted(outputs, key=lambda step: step.start, reverse=True):
        new = [(step.indent + line).rstrip() for line in outputs[step].splitlines()]
        lines[step.start : step.stop] = new
    return "\n".join(lines) + "\n"


def unplayed(text: str) -> list[int]:
    """Lines of the blocks that show a command of mmectl's, which no test runs, without a reason."""
    lines = text.splitlines()
    shown = [token for token in _blocks(text) if not list(_of(token, lines))]
    return [_lines(token)[0] for token in shown if _is_command(token) and not _reason(token, lines)]


def _is_command(token: Token) -> bool:
    return token.type in ("fence", "code_block") and bool(_MMECTL.search(token.content))


def _reason(token: Token, lines: list[str]) -> str | None:
    """Why a block is not played: the comment right above it says so; raises BadPage."""
    above = [line.strip() for line in lines[: _lines(token)[0] - 1] if line.strip()]
    found = _NOT_PLAYED.fullmatch(above[-1]) if above else None
    if found and found[1] not in REASONS:
        raise BadPage(f"nobody knows why it is not played: {found[1]}")
    return found[1] if found else None


def inline(text: str) -> set[str]:
    """The commands of mmectl's that stand within a line of text, alone."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inner = (one for token in tokens for one in token.children or ())
    code = {one.content for one in inner if one.type == "code_inline"}
    return {one for one in code if re.match(r"mmectl +[a-z-]", one)}


def sessions(*roots: Path) -> list[list[Path]]:
    """The pages with a console block, below folders or named, those of one session together."""
    found = (
        path for root in roots for path in sorted([root] if root.is_file() else root.rglob("*.md"))
    )
    pages = [path for path in found if _has_console(path)]
    begun = {path: [path] for path in pages if before(path) is None}
    for path in pages:
        if first := before(path):
            if first not in begun:
                raise BadPage(f"{path}: {first.name}, which it continues, begins no session")
            begun[first].append(path)
    return list(begun.values())


def before(page: Path) -> Path | None:
    """The page that a page continues, if it does."""
    found = _CONTINUES.search(page.read_text(encoding="utf-8"))
    return page.parent / found[1] if found else None


def needs(text: str) -> set[str]:
    """What a page needs besides the package index."""
    return set(_NEEDS.findall(text))


def _has_console(page: Path) -> bool:
    return any(map(_CONSOLE.match, page.read_text(encoding="utf-8").splitlines()))


def _blocks(text: str) -> list[Token]:
    tokens = MarkdownIt("commonmark").parse(text)
    return [token for token in tokens if token.type in ("fence", "code_block", "html_block")]


def _language(token: Token) -> str:
    return token.info.split()[0] if token.info.split() else ""


def _of(token: Token, lines: list[str]) -> Iterator[Step]:
    title = _TITLE.search(token.info)
    if token.type == "html_block":
        for command in _SETUP.findall(token.content):
            yield Step(command.strip(), *_lines(token), shown=False)
    elif _language(token) == "console":
        yield from _commands(token, lines)
    elif title:
        yield Step(_writing(title[1], token.content), *_lines(token), shown=False)


def _lines(token: Token) -> tuple[int, int]:
    assert token.map is not None
    return token.map[0] + 1, token.map[1]


def _writing(name: str, content: str) -> str:
    """The command that writes a file that the page shows."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise BadPage(f"{name}: files are written below the page's folder alone")
    target = shlex.quote(name)
    makes = f"mkdir -p {shlex.quote(str(Path(name).parent))}"
    return f"{makes} && cat > {target} <<'END-OF-FILE'\n{content}END-OF-FILE"


def _commands(token: Token, lines: list[str]) -> Iterator[Step]:
    """The commands of a console block, each with its output."""
    first, _ = _lines(token)
    content = token.content.splitlines()
    indent = lines[first - 1][: len(lines[first - 1]) - len(lines[first - 1].lstrip())]
    starts = [number for number, line in enumerate(content) if line.startswith(PROMPT)]
    if not content:
        return
    if starts[:1] != [0]:
        raise BadPage(f"line {first + 1}: a console block begins with a command, `$ ...`")
    for start, stop in zip(starts, [*starts[1:], len(content)], strict=True):
        words = [content[start].removeprefix(PROMPT)]
        output = start + 1
        while output < stop and content[output].startswith(MORE):
            words.append(content[output].removeprefix(MORE))
            output += 1
        yield Step(
            "\n".join(words),
            first + output,
            first + stop,
            "".join(f"{line}\n" for line in content[output:stop]),
            indent,
        )
