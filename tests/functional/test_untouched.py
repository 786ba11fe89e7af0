"""A folder in which nothing was ever started: who looks leaves no trace there."""

from __future__ import annotations

import json

import pytest

from mmectl.cli import run

LOOKS = {
    # command: (exit code, what is said); the endpoint is named by a variable
    "status": (0, "multi-model: does not exist; create it: mmectl deploy"),
    "destroy": (0, "no resources of multi-model exist"),
    "destroy --artifacts --yes": (0, "no resources of multi-model exist"),
    "metrics": (0, "no metrics of multi-model"),
    "models list": (0, "no models found under s3://sagemaker-us-east-1-123456789012/multi-model/"),
    "logs": (1, "no log of multi-model yet"),
    "plan": (0, "first: mmectl build"),
    "deploy --dry-run": (0, "first: mmectl upload --all"),
    "invoke -m x config": (1, "nothing was deployed from here"),
    "invoke --random 3 config": (1, "nothing was deployed from here"),
    "warm --all": (1, "nothing was deployed from here"),
    "bench config": (1, "nothing was deployed from here"),
    "models show x": (1, "nothing was deployed from here"),
    "models prune --all --dry-run": (1, "nothing was deployed from here"),
    "local status": (0, "not running"),
    "local down": (0, "it was not running"),
    "local logs": (1, "no log of multi-model yet"),
    "config show": (0, "platform"),
}


@pytest.fixture
def empty(tmp_path, monkeypatch):
    (tmp_path / "config").write_text("x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMECTL_ENDPOINT_NAME", "multi-model")
    return tmp_path


@pytest.mark.parametrize("command", LOOKS)
def test_looking_leaves_no_trace(empty, capsys, command):
    code, said = LOOKS[command]
    assert run(command.split()) == code
    out, err = capsys.readouterr()
    assert said in out + err
    assert err.count("no config.yaml in") == 1
    assert not code or "next:  " in err
    assert [path.name for path in empty.iterdir()] == ["config"]


@pytest.mark.parametrize("command", ["status", "models list", "metrics", "destroy"])
def test_the_envelope_is_as_ever(empty, capsys, command):
    assert run([*command.split(), "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["status"] == "ok"
    assert err == ""
