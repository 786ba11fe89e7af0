"""What the shell offers at TAB."""

from __future__ import annotations

import json

import pytest
from click.shell_completion import ShellComplete

from mmectl.cli import cli


@pytest.fixture
def offered(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(
        "endpoint: {name: demo}\n"
        "models: [{name: shapes, zoo: resnet_18}, {name: digits, zoo: resnet_18}]\n"
    )
    cache = tmp_path / ".mmectl" / "cache"
    cache.mkdir(parents=True)
    seen = {"demo/shapes_v2.tar.gz": ["e", 1], "demo/seen.tar.gz": ["e", 1], "demo/x.txt": ["e", 1]}
    (cache / "objects.json").write_text(json.dumps(seen))
    monkeypatch.chdir(tmp_path)

    def ask(*words: str) -> list[str]:
        shell = ShellComplete(cli, {}, "mmectl", "_MMECTL_COMPLETE")
        return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]

    return ask


def test_names_of_models_are_offered(offered):
    assert offered("invoke", "--target-model", "") == ["digits", "seen", "shapes"]
    assert offered("invoke", "-m", "s") == ["seen", "shapes"]
    assert offered("upload", "di") == ["digits"]
    assert offered("warm", "se") == ["seen"]


def test_keys_of_settings_are_offered(offered):
    assert offered("deploy", "--set", "endpoint.instance_") == [
        "endpoint.instance_type=",
        "endpoint.instance_count=",
    ]


def test_a_configuration_that_is_wrong_offers_nothing(offered, tmp_path):
    (tmp_path / "config.yaml").write_text("endpoint: [")
    assert offered("invoke", "-m", "") == []
    assert offered("deploy", "--set", "endpoint.na") == ["endpoint.name="]
