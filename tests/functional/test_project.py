"""Commands in a folder below the project's, beside it, and where there is no project."""

from __future__ import annotations

import json

import pytest

from mmectl.cli import run

NO_PROJECT = "no config.yaml in"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder below a project's, which is the current one."""
    (tmp_path / "config.yaml").write_text(
        "platform: local\nendpoint: {name: shop}\nimage: {handler: handler}\n"
    )
    (tmp_path / "handler").mkdir()
    (tmp_path / "handler" / "inference.py").write_text("def model_fn(folder): ...\n")
    below = tmp_path / "src" / "web"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return tmp_path


def values(capsys, *flags):
    """The values that `config show` tells."""
    assert run(["config", "show", "--json", *flags]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    return {key: item["value"] for key, item in data.items()}


def test_a_command_says_once_which_project_it_uses(shop, capsys, monkeypatch):
    using = f"using {shop / 'config.yaml'}\n"
    assert run(["status"]) == 0
    assert capsys.readouterr().err == using
    assert run(["config", "check"]) == 0
    assert capsys.readouterr().err == using
    for silent in (["--json"], ["-q"], ["--config", "../../config.yaml"]):
        assert run(["status", *silent]) == 0
        assert capsys.readouterr().err == ""
    monkeypatch.setenv("MMECTL_CONFIG", "../../config.yaml")
    assert run(["status"]) == 0
    assert capsys.readouterr().err == "using ../../config.yaml (MMECTL_CONFIG)\n"
    monkeypatch.chdir(shop)
    monkeypatch.setenv("MMECTL_CONFIG", "config.yaml")
    assert run(["status"]) == 0
    assert capsys.readouterr().err == ""


def test_what_names_a_file_wins_over_the_search(shop, capsys, monkeypatch, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text("endpoint: {name: other}\n")
    assert values(capsys)["endpoint.name"] == "shop"
    monkeypatch.setenv("MMECTL_CONFIG", str(other))
    assert values(capsys)["endpoint.name"] == "other"
    monkeypatch.setenv("MMECTL_CONFIG", str(tmp_path / "gone"))
    assert values(capsys, "--config", str(other))["endpoint.name"] == "other"
    assert run(["status"]) == 2
    err = capsys.readouterr().err
    assert f"error: MMECTL_CONFIG: {tmp_path / 'gone'}: no such file\nnext:  unset" in err


def test_paths_of_the_file_are_meant_from_it_and_typed_ones_from_here(shop, capsys):
    (shop / "src" / "web" / "mine").mkdir()
    (shop / "src" / "web" / "mine" / "inference.py").touch()
    assert values(capsys)["image.handler"] == "handler"
    typed = values(capsys, "--set", "image.handler=mine", "--set", "local.state_dir=../s")
    assert typed["image.handler"] == str(shop / "src" / "web" / "mine")
    assert typed["local.state_dir"] == str(shop / "src" / "web" / ".." / "s")
    listed = "[{name: a, path: mine}, {name: b, source: 's3://x/b.tar.gz'}]"
    models = values(capsys, "--set", f"models={listed}")["models"]
    assert [models[0]["path"], models[1]["source"]] == [
        str(shop / "src" / "web" / "mine"),
        "s3://x/b.tar.gz",
    ]


def test_the_state_lies_in_the_project(shop, capsys):
    (shop / "src" / "web" / "m").mkdir()
    assert run(["models", "check", "m"]) == 1  # an empty folder; the check keeps its state
    assert (shop / ".mmectl").is_dir()
    assert not (shop / "src" / "web" / ".mmectl").exists()


@pytest.mark.parametrize(
    "command",
    [
        "build",
        "upload --all",
        "plan",
        "deploy",
        "wait",
        "status",
        "invoke -m x x",
        "destroy",
        "doctor",
        "gc",
        "logs",
        "metrics",
        "models list",
        "config check",
        "export terraform",
        "iam deployer",
        "scale 2",
        "warm --all",
        "bench x",
        "local up",
        "local env",
        "local top --once",
        "local logs",
        "status --env prod",
    ],
)
def test_without_a_project_a_command_names_what_begins_one(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    assert run(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {NO_PROJECT} {tmp_path} or above it\nnext:  mmectl init")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_checked_where_there_is_no_project_and_nothing_is_left(
    tmp_path, monkeypatch, capsys, root
):
    monkeypatch.chdir(tmp_path)
    assert run(["models", "check", str(root / "examples" / "xgboost" / "ring")]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["config show", "config schema", "local down", "local status"])
def test_some_commands_need_no_project(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    assert run(command.split()) == 0
    assert capsys.readouterr().err.count(NO_PROJECT) == int(command != "config schema")
    assert list(tmp_path.iterdir()) == []


def test_another_programs_file_is_told(tmp_path, monkeypatch, capsys):
    (tmp_path / "config.yaml").write_text("baseURL: x\ntitle: y\n")
    monkeypatch.chdir(tmp_path)
    assert run(["status"]) == 2
    err = capsys.readouterr().err
    assert "config.yaml:1:1  baseURL: unknown key" in err
    assert "where it is another program's: mmectl init in another folder" in err
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert run(["status"]) == 2
    err = capsys.readouterr().err
    assert f"{tmp_path / 'config.yaml'} is not mmectl's: it has baseURL, title" in err


def test_a_removed_folder_is_no_bug(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run(["status"]) == 2
    assert "the current folder cannot be used" in capsys.readouterr().err
