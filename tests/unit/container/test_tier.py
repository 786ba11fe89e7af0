"""Which models share a process; nothing is loaded."""

from __future__ import annotations

import json

import pytest
from runtimes import folders, registry
from runtimes.values import ModelError
from serving.workers import tier


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A folder that a runtime takes whose models may share."""

    class Sharing:
        def shareable(self, folder):
            return (folder / "m").is_file()

    def of(folder):
        if not list(folder.iterdir()):
            raise ModelError("holds nothing")
        return Sharing()

    monkeypatch.setattr(registry, "of", of)
    (tmp_path / "m").write_bytes(b"x" * 1000)
    return tmp_path


def test_small_data_shares(model):
    assert tier.shares(model, {})
    assert tier.shares(model, {tier.ISOLATION: "auto"})


def test_not_where_the_container_or_the_model_says_so(model):
    assert not tier.shares(model, {tier.ISOLATION: "model"})
    described = {"framework": "f", "isolation": "model"}
    (model / folders.DESCRIPTION).write_text(json.dumps(described))
    assert not tier.shares(model, {})
    (model / folders.DESCRIPTION).write_text(json.dumps({**described, "isolation": "auto"}))
    assert tier.shares(model, {})


def test_what_is_large_has_its_own(model):
    (model / "labels").write_bytes(b"x" * tier.LARGEST_BYTES)
    assert not tier.shares(model, {})


def test_what_is_no_model_is_its_workers_to_tell(model, tmp_path):
    (model / "m").unlink()
    assert not tier.shares(tmp_path, {})
    assert not tier.shares(tmp_path / "none", {})


@pytest.mark.parametrize("odd", ["none", 1, None])
def test_an_odd_isolation_is_refused(tmp_path, odd):
    described = {"framework": "f", "isolation": odd}
    (tmp_path / folders.DESCRIPTION).write_text(json.dumps(described))
    with pytest.raises(ModelError, match="has the isolation"):
        folders.describe(tmp_path)
