"""Draw the terminal pictures of docs/pictures/ from real runs on the embedded platform.

A picture whose words are the same but for what varies (tests/docs/varying.py) stays as it is. What
measures is never the same: it is drawn anew where it is named.

Usage: python scripts/pictures.py [NAME...]
"""

from __future__ import annotations

import contextlib
import fcntl
import html
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "docs")]

from varying import plain  # noqa: E402

from mmectl.local.client import platform  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
CONFIG = """platform: local
image: {frameworks: [mxnet, xgboost, onnx]}
endpoint: {name: shop, instance_count: 2}
models:
  - {name: ring, path: ring}
  - {name: spiral, path: spiral}
  - {name: shapes, path: shapes}
"""
MODELS = ("xgboost/ring", "onnx/spiral", "models/shapes", "images")
ASK = "mmectl invoke --random {count} --target-model 'shops/*' --concurrency 2 ring/rows.csv"


@dataclass(frozen=True)
class Picture:
    """A command and the screen that it leaves; `before` is run unseen, `beside` meanwhile."""

    command: str
    before: str = ""
    beside: str = ""
    columns: int = 100
    lines: int = 60
    seconds: float | None = None  # then Ctrl-C; None: until it ends
    measures: bool = False


PICTURED = {
    "deploy": Picture("mmectl deploy", "mmectl build -q && mmectl upload --all -q"),
    "bench": Picture(
        "mmectl bench --duration 5 --concurrency 2 ring/rows.csv --target-model ring",
        "mmectl upload ring --copies 8 --to shops/ -q && " + ASK.format(count=40),
        measures=True,
    ),
    "models-list": Picture("mmectl models list"),
    "status": Picture("mmectl status"),
    "top": Picture(
        "mmectl local top", beside=ASK.format(count=400), lines=24, seconds=6, measures=True
    ),
}
THEME = TerminalTheme(
    (22, 27, 34),
    (201, 209, 217),
    [
        *((72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34)),
        *((88, 166, 255), (188, 140, 255), (57, 197, 207), (177, 186, 196)),
    ],
    [
        *((110, 118, 129), (255, 161, 152), (86, 211, 100), (227, 179, 65)),
        *((121, 192, 255), (210, 168, 255), (86, 212, 221), (240, 246, 252)),
    ],
)
# As rich draws it, but with the fonts of the reader's machine: nothing is fetched.
SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<desc>{words}</desc>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<defs>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> int:
    """Draw the pictures that are named, or all."""
    names = sys.argv[1:] or [
        n for n, one in PICTURED.items() if not (one.measures and _at(n).exists())
    ]
    PICTURES.mkdir(exist_ok=True)
    with project() as folder:
        for name, picture in PICTURED.items():
            words, svg = drawn(picture, folder)
            if name in names:
                print(f"{name}: {'drawn' if keep(name, words, svg) else 'as before'}")
    return 0


def _at(name: str) -> Path:
    return PICTURES / f"{name}.svg"


@contextlib.contextmanager
def project() -> Iterator[Path]:
    """A folder with models and a configuration; its platform is stopped in the end."""
    base = Path(tempfile.mkdtemp(prefix="mme"))
    try:
        for name in MODELS:
            shutil.copytree(ROOT / "examples" / name, base / Path(name).name)
        (base / "config.yaml").write_text(CONFIG)
        environments = ROOT / ".mmectl" / "envs"
        environments.mkdir(mode=0o700, parents=True, exist_ok=True)
        (base / ".mmectl").mkdir(mode=0o700)
        (base / ".mmectl" / "envs").symlink_to(environments)
        yield base
    finally:
        platform.stop(base / ".mmectl")
        shutil.rmtree(base)


def drawn(picture: Picture, folder: Path) -> tuple[str, str]:
    """The words on the screen, and the picture of it."""
    surroundings = environment()
    shell = ["bash", "-c"]
    if picture.before:
        subprocess.run(
            [*shell, picture.before], cwd=folder, env=surroundings, check=True, capture_output=True
        )
    beside = None
    if picture.beside:
        command = [*shell, f"exec {picture.beside}"]
        beside = subprocess.Popen(
            command,
            cwd=folder,
            env=surroundings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    try:
        screen = shown(picture, folder, surroundings)
    finally:
        if beside:
            beside.terminate()
            beside.wait()
    lines = [Text.assemble(("$ ", "bold green"), picture.command), *map(_line, _rows(screen))]
    return "\n".join(line.plain for line in lines), _svg(lines, picture.columns)


def environment() -> dict[str, str]:
    """That of this process, with the project's mmectl and without AWS's variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    return {**kept, "PATH": path, "TERM": "xterm-256color"}


def shown(picture: Picture, folder: Path, environment: Mapping[str, str]) -> pyte.Screen:
    """The screen of a terminal after the command, or at its Ctrl-C."""
    screen = pyte.Screen(picture.columns, picture.lines)
    stream = pyte.ByteStream(screen)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe("bash", ["bash", "-c", f"exec {picture.command}"], dict(environment))  # noqa: S606
    size = struct.pack("HHHH", picture.lines, picture.columns, 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    deadline = None if picture.seconds is None else time.monotonic() + picture.seconds
    with contextlib.suppress(OSError):  # the end of a terminal
        while deadline is None or time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.1)[0]:
                stream.feed(os.read(terminal, 1 << 16))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
    with contextlib.suppress(OSError):
        while os.read(terminal, 1 << 16):
            pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return screen


def _rows(screen: pyte.Screen) -> list[list[pyte.screens.Char]]:
    """The rows of a screen up to its last one that is not empty."""
    rows = [[screen.buffer[y][x] for x in range(screen.columns)] for y in range(screen.lines)]
    while rows and not "".join(char.data for char in rows[-1]).strip():
        rows.pop()
    return rows


def _line(row: list[pyte.screens.Char]) -> Text:
    line = Text()
    for style, chars in groupby(row, key=_style):
        line.append("".join(char.data for char in chars), style)
    line.rstrip()
    return line


def _style(char: pyte.screens.Char) -> Style:
    return Style(
        color=_color(char.fg), bgcolor=_color(char.bg), bold=char.bold, reverse=char.reverse
    )


def _color(name: str) -> str | None:
    """Pyte's name of a colour as rich's."""
    if name == "default":
        return None
    if re.fullmatch(r"[0-9a-f]{6}", name):
        return f"#{name}"
    return name.replace("brown", "yellow").replace("bright", "bright_")


def _svg(lines: list[Text], columns: int) -> str:
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=columns, file=nowhere, force_terminal=True)
        for line in lines:
            console.print(line, soft_wrap=True, highlight=False)
    words = html.escape("\n".join(line.plain for line in lines))
    template = SVG.replace("{words}", words.replace("{", "{{").replace("}", "}}"))
    return console.export_svg(title="", theme=THEME, code_format=template, unique_id="mme")


def keep(name: str, words: str, svg: str) -> bool:
    """Write a picture, unless the one there says the same."""
    path = _at(name)
    if path.exists():
        found = re.search(r"<desc>(.*?)</desc>", path.read_text(encoding="utf-8"), re.DOTALL)
        if found and plain(html.unescape(found[1])) == plain(words):
            return False
    path.write_text(svg, encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(main())
