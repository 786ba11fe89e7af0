"""What the shell offers at TAB by click's own protocol, as older scripts ask."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from mmectl.cli import cli
from mmectl.completion import known


@pytest.fixture
def offered(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(
        "endpoint: {name: demo}\n"
        "models: [{name: shapes, zoo: resnet_18}, {name: digits, zoo: resnet_18}]\n"
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    known.remember(known.project(None, None, None), {"shapes": [1, 2], "seen": [1]}, [])

    def ask(*words: str) -> list[str]:
        shell = ShellComplete(cli, {}, "mmectl", "_MMECTL_COMPLETE")
        return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]

    return ask


def test_names_of_models_are_offered(offered):
    assert offered("invoke", "--target-model", "") == ["digits", "seen", "shapes"]
    assert offered("invoke", "-m", "s") == ["seen", "shapes"]
    assert offered("models", "show", "di") == ["digits"]
    assert offered("warm", "se") == ["seen"]


def test_keys_of_settings_are_offered(offered):
    assert offered("deploy", "--set", "endpoint.instance_") == [
        "endpoint.instance_type=",
        "endpoint.instance_count=",
    ]


def test_a_configuration_that_is_wrong_offers_what_was_listed(offered, tmp_path):
    (tmp_path / "config.yaml").write_text("endpoint: [")
    assert offered("invoke", "-m", "") == ["seen", "shapes"]
    assert offered("deploy", "--set", "endpoint.na") == ["endpoint.name="]
