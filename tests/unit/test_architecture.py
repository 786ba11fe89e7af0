"""Who may import whom, and what start-up may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "mmectl"
BASE = {"state", "errors"}
# what both sides use
SHARED = {"partitions", "surroundings", "unpack", "untar"}
# What else the named modules may import; helpers of the core may import each other.
COMPOSITION = {"__main__", "cli", "app", "commands"}
CORE_USERS = {
    "config": BASE | {"partitions", "config", "sources", "limits", "names", "model", "policy"},
    "aws": BASE | {"aws_settings", "partitions"},
    "aws_settings": BASE,
    "services": BASE | {"aws", "aws_settings", "invoke"},
    "cloudwatch": BASE | {"aws"},
}
NOT_FOR_THE_CORE = {"local", "aws", "aws_settings", "services", "cloudwatch", "output", "config"}
HEAVY = {"boto3", "botocore", "rich", "moto", "aiohttp", "sagemaker", "pydantic", "yaml", "mxnet"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0] if parts[0] != "__init__" else ""


def imports_of(path: Path) -> set[str]:
    """Every module of mmectl that the file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mmectl."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "mmectl":
            found |= {alias.name for alias in node.names if alias.name != "__version__"}
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mmectl.")
            }
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_direction_of_imports(path):
    name, imported = name_of(path), imports_of(path)
    if name in COMPOSITION or name == "":
        return
    assert not imported & COMPOSITION, f"{name} imports the composition root"
    if name in BASE:
        assert imported == set()
    elif name in SHARED:
        assert imported <= BASE | SHARED
    elif name == "local":
        assert imported <= BASE | SHARED | {"local"}
    elif name in CORE_USERS:
        assert imported <= CORE_USERS[name]
    else:
        assert not imported & (NOT_FOR_THE_CORE - {name})


@pytest.mark.parametrize("path", sorted((ROOT / "container").glob("*.py")), ids=lambda p: p.name)
def test_the_container_knows_nothing_of_mmectl(path):
    assert imports_of(path) == set()


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


def test_the_command_line_imports_nothing_heavy():
    loaded = f"print(sorted({HEAVY - {'pydantic', 'rich'}!r} & set(sys.modules)))"
    code = f"import sys; from mmectl.cli import run; run(['deploy', '--help']); {loaded}"
    assert run(code).splitlines()[-1] == "[]"


def test_the_menu_names_every_command():
    from mmectl.cli import cli
    from mmectl.console import menu

    context = click.Context(cli, info_name="mmectl")
    assert cli.get_help(context) == menu.text()
    for name in menu.COMMANDS:
        assert cli.get_command(context, name).name == name
