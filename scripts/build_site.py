"""Build the site of docs/ into site/: no link leads nowhere, nothing is fetched from elsewhere.

Links stay as GitHub has them. Those that leave docs/ would lead nowhere on the site, so the files
that they name are copied into it, below `project/`.

Usage: python scripts/build_site.py [TARGET]
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
ZENSICAL = Path(sys.executable).with_name("zensical")
PROJECT = "project"  # where the site has files from outside docs/
_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)\s#])|(?<=\bsrc=\")([^\"#]+)(?=\")")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_FENCE = re.compile(r"\s*(```|~~~)")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|/", re.IGNORECASE)
_IN_STYLES = re.compile(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)")
_LOADING = {"script", "img", "iframe", "source", "video", "audio", "embed", "object"}
_LOADING_RELATIONS = {
    *("stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch", "manifest"),
}


def main() -> int:
    """Build and check; 1 where the site has a problem."""
    if not ZENSICAL.exists():
        print("the site is built with Python 3.11 and later, which Zensical needs", file=sys.stderr)
        return 0 if sys.version_info < (3, 11) else 1
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "site").resolve()
    with tempfile.TemporaryDirectory() as folder:
        code = build(Path(folder), target)
    if code:
        return code
    problems = sorted({*check(target), *read_otherwise(target)})
    for problem in problems:
        print(problem, file=sys.stderr)
    pages = sum(1 for _ in target.rglob("*.html"))
    print(f"{target}: {pages} pages, {len(problems)} problems", file=sys.stderr)
    return 1 if problems else 0


def build(folder: Path, target: Path) -> int:
    """Make the site in a new folder, then put it into place; 1 where there is a warning."""
    stage(folder / "docs")
    (folder / "mkdocs.yml").write_text(_configuration(), encoding="utf-8")
    environment = {**os.environ, "NO_COLOR": "1"}
    command = [str(ZENSICAL), "build", "--strict", "--clean"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(_COLORS.sub("", done.stdout + done.stderr), file=sys.stderr)
        return 1
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder / "site", target)
    return 0


def _configuration() -> str:
    """mkdocs.yml with the decisions at the end of its last section."""
    pages = [f"          - {path.relative_to(DOCS)}\n" for path in _decisions()]
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    return f"{text}      - Decisions:\n          - decisions/index.md\n{''.join(pages)}"


def _decisions() -> list[Path]:
    return sorted((DOCS / "decisions").glob("[0-9]*.md"))


def stage(docs: Path) -> None:
    """Write the pages as the site has them, with the files outside docs/ that they name."""
    shutil.copytree(DOCS, docs)
    listed = "".join(f"- [{_title(path)}]({path.name})\n" for path in _decisions())
    head = "# Decisions\n\nWhy mmectl is as it is: what was decided, what was measured.\n\n"
    (docs / "decisions" / "index.md").write_text(head + listed, encoding="utf-8")
    waiting = [(path, docs / path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    while waiting:
        source, page = waiting.pop()
        named: dict[Path, Path] = {}
        text = rewritten(page.read_text(encoding="utf-8"), _mover(source, page, docs, named))
        page.write_text(text, encoding="utf-8")
        for file, copy in named.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
            if copy.suffix == ".md":
                waiting.append((file, copy))


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def rewritten(text: str, moved: Callable[[str], str]) -> str:
    """The page with its links put through `moved`; code blocks stay."""
    lines, fenced = [], False
    for line in text.splitlines(keepends=True):
        fenced ^= bool(_FENCE.match(line))
        lines.append(line if fenced else _LINK.sub(lambda found: moved(found[0]), line))
    return "".join(lines)


def _mover(source: Path, page: Path, docs: Path, named: dict[Path, Path]) -> Callable[[str], str]:
    """What a page's links become; files outside docs/ that were not there yet go into `named`."""

    def moved(target: str) -> str:
        if _ELSEWHERE.match(target):
            return target
        file = (source.parent / unquote(target)).resolve()
        if file.is_dir():
            file = _page_of(file)
        if file.is_relative_to(DOCS):
            new = docs / file.relative_to(DOCS)
        else:
            new = docs / PROJECT / file.relative_to(ROOT)
            if not new.exists() and file.is_file():
                named[file] = new
        return os.path.relpath(new, page.parent)

    return moved


def _page_of(folder: Path) -> Path:
    """The page that stands for a folder: GitHub lists it."""
    beside, within = folder.with_suffix(".md"), folder / "README.md"
    return beside if beside.is_file() else within if within.is_file() else folder / "index.md"


def check(site: Path) -> Iterator[str]:
    """What is wrong with the built pages and styles."""
    pages = {path: Page.of(path) for path in site.rglob("*.html")}
    for path, page in pages.items():
        name = path.relative_to(site)
        yield from (f"{name}: loads {address}" for address in page.loaded if _is_elsewhere(address))
        if name.name != "404.html":  # its links are made for any folder
            for link in page.links:
                if problem := _problem(link, path, site, pages):
                    yield f"{name}: {link}: {problem}"
    for path in site.rglob("*.css"):
        for address in _IN_STYLES.findall(path.read_text(encoding="utf-8")):
            yield f"{path.relative_to(site)}: loads {address}"


def read_otherwise(site: Path, docs: Path = DOCS) -> Iterator[str]:
    """The pages whose lists or blocks the site has otherwise than GitHub, by their numbers."""
    reader = MarkdownIt("commonmark").enable("table")
    for page in docs.rglob("*.md"):
        name = page.relative_to(docs).with_suffix("")
        built = site / (name.parent if name.name == "index" else name) / "index.html"
        ours, theirs = built.read_text("utf-8"), reader.render(page.read_text("utf-8"))
        article = ours.partition("<article")[2].partition("</article>")[0]
        for tag in ("li", "ol", "ul", "pre", "table"):
            if _count(tag, article) != _count(tag, theirs):
                yield (
                    f"{page.relative_to(docs)}: {_count(tag, article)} <{tag}> on the site, "
                    f"{_count(tag, theirs)} on GitHub: indent by four spaces in lists"
                )


def _count(tag: str, html: str) -> int:
    return len(re.findall(rf"<{tag}[ >]", html))


def _is_elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def _problem(link: str, page: Path, site: Path, pages: dict[Path, Page]) -> str | None:
    address = urlsplit(link)
    if address.scheme or address.netloc:
        return None
    file = (page.parent / unquote(address.path)).resolve() if address.path else page
    if file.is_dir():
        file /= "index.html"
    if not file.is_file() or not file.is_relative_to(site):
        return "leads nowhere"
    if address.fragment and file in pages and unquote(address.fragment) not in pages[file].anchors:
        return "no such anchor"
    return None


class Page(HTMLParser):
    """What a page names: anchors that it has, links, and what a browser loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors = {"__top"}
        self.links: list[str] = []
        self.loaded: list[str] = []

    @classmethod
    def of(cls, path: Path) -> Page:
        """Read a file."""
        page = cls()
        page.feed(path.read_text(encoding="utf-8"))
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element names."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        loads = tag in _LOADING or _LOADING_RELATIONS & set(values.get("rel", "").split())
        for name in ("src", "href", "data"):
            if name in values and loads:
                self.loaded.append(values[name])
            if name in values and (loads or tag == "a"):
                self.links.append(values[name])


if __name__ == "__main__":
    sys.exit(main())
