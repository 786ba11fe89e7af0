"""What is imported before a new environment's server is tried."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mmectl.base.errors import BuildError
from mmectl.images.local_env import ARCHIVE
from mmectl.images.local_smoke import _import

REGISTRY = """
import pathlib
class One:
    def preload(self):
        pathlib.Path(__file__).with_name("preloaded").touch()
class Broken:
    def preload(self):
        raise OSError("its library is damaged")
def installed():
    return One(), Broken()
"""


def context(folder: Path, handler: str) -> list[str]:
    (folder / "model_handler.py").write_text(handler)
    return [sys.executable, str(folder / "entrypoint.py")]


@pytest.mark.parametrize("served", [False, True])
def test_frameworks_are_read_before_the_first_server_waits_for_them(tmp_path, served):
    (tmp_path / "runtimes").mkdir()
    (tmp_path / "runtimes/__init__.py").touch()
    (tmp_path / "runtimes/registry.py").write_text(REGISTRY)
    classes = tmp_path / "classes"
    classes.mkdir()
    if served:
        (classes / "0123-4567.jsa").touch()
    # one that fails is told of by the server
    _import(context(tmp_path, ""), {ARCHIVE: str(classes)})
    assert (tmp_path / "runtimes/preloaded").exists() is not served


def test_a_container_of_ones_own_has_none(tmp_path):
    _import(context(tmp_path, ""), {})


def test_a_handler_that_cannot_be_imported_is_told_of(tmp_path):
    with pytest.raises(BuildError, match="no_such_module"):
        _import(context(tmp_path, "import no_such_module"), {})
