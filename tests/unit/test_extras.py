"""Optional packages: imported only after their extra was asked for; the hint installs it."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from sources import trees

from mmectl.base import extras
from mmectl.base.errors import BuildError
from mmectl.base.extras import Place

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")

ROOT = Path(__file__).resolve().parent.parent.parent
# rooms that are imported only after their extra was asked for
ROOMS = {"mmectl/local": "local", "mmectl/web": "console"}
# runs in another Python, and looks for its packages itself; is imported by pytest alone
ELSEWHERE = {"mmectl/frameworks/pytorch/export_worker.py", "mmectl/testing/plugin.py"}
ASKED_IN = {"mmectl/console/bench_page.py": "mmectl/commands/bench.py"}  # before the run
OF_OTHERS = {"multidict": "aiohttp", "botocore": "boto3"}  # come with another package
PROGRAMS = {"uv"}  # found as a program, too (images/uv.py)
NOT_IMPORTED = {"mxnet", "docs", "dev"}  # extras for other uses than mmectl's own

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@functools.cache
def brought() -> Mapping[str, list[str]]:
    """Module -> distributions; it reads all that is installed."""
    return packages_distributions()


def modules_of(requirements: list[str]) -> set[str]:
    """The modules that distributions bring."""
    wanted = {re.match(r"[\w.-]+", one)[0].lower().replace("_", "-") for one in requirements}
    return {
        module
        for module, names in brought().items()
        if wanted & {name.lower().replace("_", "-") for name in names}
    }


def imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """The top-level modules that a tree imports, and whether that is inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((one.name.partition(".")[0], inside) for one in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0], inside
        elif isinstance(node, ast.expr):
            continue  # no import stands in one
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            within = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            yield from imports(node, inside or within)


def optional() -> Iterator[tuple[str, str, bool, str]]:
    """Every import of what is no dependency: file, module, whether inside a function, text."""
    own = sys.stdlib_module_names | modules_of(PROJECT["dependencies"]) | {"mmectl"}
    for path, tree in trees("mmectl").items():
        name, text = path.relative_to(ROOT).as_posix(), path.read_text()
        for module, inside in imports(tree):
            if OF_OTHERS.get(module, module) not in own and name not in ELSEWHERE:
                yield name, module, inside, text


def test_every_optional_import_is_of_an_extra_that_is_asked_for_before():
    wrong = []
    for name, module, inside, text in optional():
        wanted = OF_OTHERS.get(module, module)
        room = next((extra for at, extra in ROOMS.items() if name.startswith(f"{at}/")), None)
        if wanted in PROGRAMS or (room and wanted in extras.MODULES[room]):
            continue
        asking = (ROOT / ASKED_IN[name]).read_text() if name in ASKED_IN else text
        known = "|".join(extra for extra, modules in extras.MODULES.items() if wanted in modules)
        guarded = known and re.search(rf"extras\.(require|install)\(['\"]({known})['\"]", asking)
        if not (inside and guarded):
            wrong.append(f"{name} imports {module}")
    assert wrong == []


def test_the_table_of_extras_has_every_package_of_pyproject():
    declared = PROJECT["optional-dependencies"]
    assert set(extras.MODULES) == set(declared) - NOT_IMPORTED
    for extra, modules in extras.MODULES.items():
        for requirement in declared[extra]:
            brought = modules_of([requirement])
            if not brought:  # not installed for the tests
                continue
            assert brought & ({*modules} | PROGRAMS), f"{requirement} is in no check of {extra}"


def test_without_extras_every_command_can_be_imported():
    blocked = sorted({name for some in extras.MODULES.values() for name in some} | PROGRAMS)
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "mmectl").rglob("*.py"))
        if path.name != "__main__.py"
        and not path.relative_to(ROOT).as_posix().startswith(("mmectl/local/", "mmectl/web/"))
        and path.relative_to(ROOT).as_posix() not in ELSEWHERE
    ]
    code = f"""
import importlib, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
for name in {modules!r}:
    importlib.import_module(name)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_what_is_missing_is_named_with_its_extra():
    with pytest.raises(BuildError, match=r"no page: jinja2 not installed \(extra console\)") as no:
        extras.require("console", "no page", BuildError, "x", lambda name: name != "jinja2" or None)
    assert no.value.code == "x"
    assert "mmectl[console]" in no.value.hint or "[console]" in no.value.hint
    extras.require("console", "no page", BuildError, "x", lambda name: name)


WHEEL = "file:///w/mmectl-1-py3-none-any.whl"
CACHE = Path("/home/me/.cache/uv/archive-v0/Xy1")


@pytest.mark.parametrize(
    ("place", "command"),
    [
        (Place(Path("/v")), "pip install 'mmectl[local]'"),
        (Place(Path("/v"), origin=WHEEL), f"pip install 'mmectl[local] @ {WHEEL}'"),
        (Place(Path("/v"), origin="/src/m", editable=True), "pip install -e '/src/m[local]'"),
        (
            Place(Path("/v"), "/v/bin/python", active=False),
            "/v/bin/python -m pip install 'mmectl[local]'",
        ),
        (
            Place(Path("/v"), "/v/bin/python", has_pip=False, active=False),
            "uv pip install --python /v/bin/python 'mmectl[local]'",
        ),
        (Place(CACHE), "uvx --from 'mmectl[local]' mmectl ..."),
        (Place(Path("/v"), extras=("report",)), "pip install 'mmectl[local]'"),
        (Place(CACHE, extras=("report",)), "uvx --from 'mmectl[local,report]' mmectl ..."),
        (Place(CACHE, origin=WHEEL), f"uvx --from 'mmectl[local] @ {WHEEL}' mmectl ..."),
    ],
)
def test_the_command_is_that_of_the_environment(place, command):
    assert extras.install("local", place) == command


@pytest.mark.parametrize(
    ("mark", "command", "other"),
    [
        (
            "pipx_metadata.json",
            "pipx install --force 'mmectl[local]'",
            "pipx inject mmectl 'docker[ssh]'",
        ),
        (
            "uv-receipt.toml",
            "uv tool install --force 'mmectl[local]'",
            "uv tool install --with 'docker[ssh]' mmectl",
        ),
    ],
)
def test_tools_are_installed_by_what_installed_them(tmp_path, mark, command, other):
    prefix = tmp_path / "venvs" / "mmectl"
    prefix.mkdir(parents=True)
    (prefix / mark).touch()
    assert extras.install("local", Place(prefix)) == command
    assert extras.add("docker[ssh]", Place(prefix)) == other
    assert extras.add("docker[ssh]", Place(CACHE)) == "uvx --with 'docker[ssh]' mmectl ..."


def test_pipx_run_has_an_environment_of_its_own(tmp_path):
    (tmp_path / "pipx_metadata.json").touch()
    assert extras.install("local", Place(tmp_path)) == "pipx run --spec 'mmectl[local]' mmectl ..."
