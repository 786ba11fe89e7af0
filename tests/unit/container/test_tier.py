"""Which models share a process; nothing is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from runtimes import folders
from runtimes.base import Runtime
from runtimes.values import ModelError
from serving.workers import launcher, tier


class Sharing(Runtime):
    """Models with a file `m` may share."""

    def shareable(self, folder: Path) -> bool:
        return (folder / "m").is_file()


def shares(folder: Path, environ: Mapping[str, str] = MappingProxyType({})) -> bool:
    def find(folder: Path) -> Runtime:
        if not list(folder.iterdir()):
            raise ModelError("holds nothing")
        return Sharing()

    return tier.shares(folder, environ, find)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "m").write_bytes(b"x" * 1000)
    return tmp_path


def test_small_data_shares(model):
    assert shares(model)
    assert shares(model, {launcher.ISOLATION: "auto"})


def test_not_where_the_container_or_the_model_says_so(model):
    assert not shares(model, {launcher.ISOLATION: "model"})
    described = {"framework": "f", "isolation": "model"}
    (model / folders.DESCRIPTION).write_text(json.dumps(described))
    assert not shares(model)
    (model / folders.DESCRIPTION).write_text(json.dumps({**described, "isolation": "auto"}))
    assert shares(model)


def test_what_is_large_has_its_own(model):
    (model / "labels").write_bytes(b"x" * tier.LARGEST_BYTES)
    assert not shares(model)


def test_what_is_no_model_is_its_workers_to_tell(model, tmp_path):
    (model / "m").unlink()
    assert not shares(tmp_path)
    assert not shares(tmp_path / "none")


@pytest.mark.parametrize("odd", ["none", 1, None])
def test_an_odd_isolation_is_refused(tmp_path, odd):
    described = {"framework": "f", "isolation": odd}
    (tmp_path / folders.DESCRIPTION).write_text(json.dumps(described))
    with pytest.raises(ModelError, match="has the isolation"):
        folders.describe(tmp_path)
