"""What start-up may cost. Who may import whom is checked by import-linter (`make check`)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HEAVY = {"boto3", "botocore", "rich", "moto", "aiohttp", "sagemaker", "pydantic", "yaml", "mxnet"}


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout


def test_help_imports_nothing_heavy():
    loaded = f"print(sorted({HEAVY | {'click'}!r} & set(sys.modules)))"
    code = (
        f"import sys; sys.argv[1:] = ['--help']; from mmectl.__main__ import main; main(); {loaded}"
    )
    assert run(code).splitlines()[-1] == "[]"


def test_the_help_of_no_command_imports_anything_heavy():
    loaded = f"print(sorted({HEAVY - {'rich'}!r} & set(sys.modules)))"
    code = (
        "import sys; from mmectl.cli import run; from mmectl.console.menu import COMMANDS\n"
        f"for name in COMMANDS: assert run([name, '--help']) == 0, name\n{loaded}"
    )
    assert run(code).splitlines()[-1] == "[]"


@pytest.mark.parametrize("width", [40, 41, 60, 79])
def test_the_first_help_fits_a_narrow_terminal(width):
    from mmectl.console import menu

    shown = menu.text(width)
    assert max(map(len, shown.splitlines())) <= width
    assert shown.split() == menu.text().split()
    assert max(map(len, menu.text().splitlines())) <= 80


def test_the_menu_names_every_command():
    from mmectl.cli import cli
    from mmectl.console import menu

    context = click.Context(cli, info_name="mmectl", terminal_width=80)
    assert cli.get_help(context) == menu.text()
    for name in menu.COMMANDS:
        assert cli.get_command(context, name).name == name


PAGE = (ROOT / "docs" / "architecture.md").read_text().partition("## All modules")[0]


def test_the_map_names_every_room():
    blocks = PAGE.partition("## The map")[2].split("```")
    words = set(blocks[1].replace("/", " ").split())
    rooms = [path for top in ("mmectl", "mmectl/local") for path in (ROOT / top).iterdir()]
    named = {path.name for path in rooms if (path / "__init__.py").is_file()}
    assert len(named) > 30
    assert named - words == set()


def test_the_page_has_the_layers_that_are_checked():
    checked = (ROOT / "pyproject.toml").read_text().partition('id = "rooms"')[2]
    listed = checked.partition("layers = [")[2].partition("]")[0]
    layers = [layer.replace(" : ", ", ") for layer in re.findall(r'"([^"]+)"', listed)]
    assert "base" in layers
    assert PAGE.partition("## Layers")[2].split("```")[1].split("\n")[1:-1] == layers


def test_files_that_the_page_names_exist():
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", PAGE))
    assert len(named) > 50
    tops = (ROOT, ROOT / "mmectl", ROOT / "mmectl" / "local", ROOT / "container")
    assert [name for name in named if not any((top / name).is_file() for top in tops)] == []
