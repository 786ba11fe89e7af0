"""Completion: what a line asks for, in the shells themselves, from the cache, without a network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from mmectl.aws.profiles import wants_more
from mmectl.cli import cli
from mmectl.completion import answer, known
from mmectl.completion.line import split
from mmectl.completion.shells import SCRIPTS
from mmectl.config.keys import keys
from mmectl.console.menu import COMMANDS

BREAKS = " \t\n\"'><=;|&(:"
CONFIG = """\
endpoint: {name: demo}
models: [{name: shapes, zoo: resnet_18}, {name: digits, zoo: resnet_18}]
environments: {prod: {}, dev: {}}
"""
MODELS = {"shapes": [1, 2, 10], "seen": [1]}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose account was listed a moment ago."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [*os.environ]:
        if name.startswith(("MMECTL_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    known.remember(known.project(None, None, None), MODELS, ["demo", "other"])
    answer.lines(["invoke", "-m", ""])  # reads the configuration
    return tmp_path


def offered(line: str, breaks: str = "") -> list[str]:
    return [one.partition("\t")[0] for one in answer.lines(split(line)[1:], breaks)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mmectl depl", ["deploy"]),
        ("mmectl models pro", ["promote"]),
        ("mmectl invoke -m ", ["digits", "seen", "shapes"]),
        ("mmectl invoke -m 's", ["seen", "shapes"]),
        ("mmectl invoke --target-model=se", ["--target-model=seen"]),
        ("mmectl warm shapes se", ["seen"]),
        ("mmectl models promote shapes ", ["v10", "v2", "v1"]),
        ("mmectl models promote shapes v1", ["v10", "v1"]),
        ("mmectl models promote --expect ", []),
        ("mmectl models promote shapes v1 ", []),
        ("mmectl models show sh", ["shapes"]),
        ("mmectl deploy --env ", ["prod", "dev"]),
        ("mmectl deploy --platform ", ["local", "aws"]),
        ("mmectl deploy --set endpoint.instance_ty", ["endpoint.instance_type="]),
        (
            "mmectl deploy --set endpoint.instance_type=ml.m5.l",
            ["endpoint.instance_type=ml.m5.large"],
        ),
        ("mmectl deploy --set platform=", ["platform=local", "platform=aws"]),
        ("mmectl deploy --set endpoint.name=o", ["endpoint.name=other"]),
        ("mmectl config show bucket.n", ["bucket.name"]),
        ("mmectl upload --framework pyt", ["pytorch"]),
        ("mmectl adopt ", ["demo", "other"]),
        ("mmectl completion ", ["bash", "zsh", "fish"]),
        ("mmectl invoke ", [":file"]),
        ("mmectl upload sh", ["shapes", ":dir"]),
        ("mmectl deploy --json-", ["--json-lines"]),
        ("mmectl deploy --nope=", []),
        ("mmectl invoke -- -", [":file"]),
    ],
)
def test_what_is_offered(project, line, expected):
    assert offered(line) == expected


def test_the_tree_has_what_the_commands_have():
    tree = json.loads(Path(answer.__file__).with_name("tree.json").read_bytes())
    assert list(tree["commands"][""]["commands"]) == list(COMMANDS)
    assert list(tree["keys"]) == keys()
    upload = cli.get_command(click.Context(cli), "upload")
    words = {word for one in upload.params for word in getattr(one, "opts", ()) if word[0] == "-"}
    assert words <= set(tree["commands"]["upload"]["options"])


def test_the_tree_has_a_line_for_each_command_and_key():
    lines = Path(answer.__file__).with_name("tree.json").read_text().splitlines()
    tree = json.loads("\n".join(lines))
    for section in ("keys", "commands"):
        start = lines.index(next(one for one in lines if one.startswith(f'"{section}": ')))
        found = lines[start + 1 : start + 1 + len(tree[section])]
        assert [json.loads(f"{{{one.rstrip(',')}}}") for one in found] == [
            {name: one} for name, one in tree[section].items()
        ]


def test_subfolders_know_the_project(project, monkeypatch):
    (project / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(project / "a" / "b")
    assert offered("mmectl invoke -m s") == ["seen", "shapes"]


def test_a_changed_configuration_is_read_again(project):
    (project / "config.yaml").write_text(CONFIG.replace("digits", "letters"))
    assert offered("mmectl invoke -m ") == ["letters", "seen", "shapes"]
    (project / "config.yaml").write_text(CONFIG.replace("demo", "elsewhere"))
    assert offered("mmectl invoke -m ") == ["digits", "shapes"]
    (project / "config.yaml").write_text("endpoint: [")
    assert offered("mmectl deploy --set endpoint.nam") == ["endpoint.name="]
    assert offered("mmectl deploy --env ") == []


def test_other_accounts_and_environments_have_other_names(project, monkeypatch):
    assert "seen" not in offered("mmectl invoke --env prod -m ")
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert offered("mmectl invoke -m ") == ["digits", "shapes"]


def test_old_listings_are_made_anew_and_very_old_ones_forgotten(project, monkeypatch):
    begun = []
    monkeypatch.setattr(answer, "_refresh", lambda about, path, now: begun.append(now))
    path = known.project(None, None, None).file(os.environ)
    for age, expected, times in ((0, True, 0), (120, True, 1), (known.OLDEST + 1, False, 1)):
        now = known.read(path)
        now.listed = time.time() - age
        known.write(path, now)
        begun.clear()
        assert ("seen" in offered("mmectl invoke -m ")) is expected
        assert len(begun) == times
        assert offered("mmectl deploy --env ") == ["prod", "dev"]
        assert len(begun) == times


def test_a_change_lets_the_next_listing_come_soon(project, monkeypatch):
    begun = []
    monkeypatch.setattr(answer, "_refresh", lambda about, path, now: begun.append(now))
    known.outdated(known.project(None, None, None))
    assert "seen" in offered("mmectl invoke -m ")
    assert len(begun) == 1
    tree = json.loads(Path(answer.__file__).with_name("tree.json").read_bytes())
    assert set(tree["commands"]) >= known.CHANGES


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stamp": 1}', "\0"])
def test_a_broken_cache_is_none(project, text):
    path = Path(known.project(None, None, None).file(os.environ))
    path.write_text(text)
    now = known.read(str(path))
    assert (now.models, now.listed) == ({}, 0.0)


def test_the_cache_is_its_owners_and_small(project):
    folder = Path(known.folder(os.environ))
    for number in range(60):
        known.remember(known.Project(f"/{number}"), {})
    files = list(folder.iterdir())
    assert len(files) <= 51
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_profiles_that_ask_a_person_are_not_used_in_the_background():
    profiles = {
        "plain": {"region": "x"},
        "code": {"mfa_serial": "arn"},
        "on_code": {"source_profile": "code"},
        "program": {"credential_process": "x"},
        "round": {"source_profile": "round"},
    }
    asking = [name for name in [*profiles, "none"] if wants_more(profiles, name)]
    assert asking == ["code", "on_code", "program"]


def _run(project: Path, arguments: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        check=False,
        cwd=project,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": programs, "HOME": str(project), **more},
        timeout=60,
    )


def test_a_fresh_cache_needs_nothing_heavy(project):
    done = _run(
        project,
        [sys.executable, "-X", "importtime", "-m", "mmectl", "invoke", "-m", "s"],
        _MMECTL_COMPLETE="fish",
    )
    assert done.stdout.split() == ["seen", "shapes"]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {"boto3", "botocore", "rich", "pydantic", "yaml", "click", "asyncio", "subprocess"}
    assert not {name.partition(".")[0] for name in loaded} & heavy
    assert not loaded & {"dataclasses", "hashlib"}


def test_nothing_is_said_whatever_goes_wrong(project):
    for arguments in ([], ["'"], ["--", "\udcff"], ["x" * 10_000]):
        done = _run(project, [sys.executable, "-m", "mmectl", *arguments], _MMECTL_COMPLETE="zsh")
        assert (done.returncode, done.stderr) == (0, "")


def _shell(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mmectl invoke -m s", ["seen", "shapes"]),
        ("mmectl deploy --set endpoint.instance_ty", ["endpoint.instance_type="]),
        ("mmectl deploy --set platform=lo", ["local"]),
        ("mmectl deploy --set=platform=", ["local", "aws"]),
        ("mmectl upload a", ["a dir"]),
        ("mmectl invoke pi", ["pi ct.png"]),
        ("mmectl models promote shapes v1", ["v10", "v1"]),
    ],
)
def test_in_bash(project, line, expected):
    bash = _shell("bash")
    (project / "a dir").mkdir()
    (project / "pi ct.png").touch()
    words = line.replace("=", " = ").split(" ")
    script = f"""
        compopt() {{ :; }}
        {SCRIPTS["bash"]}
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
        COMP_CWORD={len(words) - 1} COMP_LINE='{line}' COMP_POINT={len(line)}
        _mmectl_completion
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = _run(project, [bash, "--norc", "-c", script])
    assert (done.stderr, done.stdout.splitlines()) == ("", expected)


def test_in_fish(project):
    fish = _shell("fish")
    script = (
        SCRIPTS["fish"] + "complete -C 'mmectl models promote shapes v1'\ncomplete -C 'mmectl depl'"
    )
    done = _run(project, [fish, "--no-config", "-c", script])
    assert (done.stderr, done.stdout.splitlines()) == (
        "",
        ["v10", "v1", "deploy\tCreate or update the endpoint and wait until it serves."],
    )


def test_in_zsh(project):
    zsh = _shell("zsh")
    (project / "_mmectl").write_text(SCRIPTS["zsh"])
    # a zsh at a terminal of its own; each read ends once the line is as it shall be
    script = """
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell 'autoload -U compinit; compinit -u -d ./dump; source ./_mmectl; print rea""dy'
        zpty -r shell out '*ready*'
        zpty -n -w shell $'mmectl models show se\t'
        zpty -r shell out '*show seen*'
        zpty -n -w shell $'\x15mmectl deploy --set endpoint.instance_ty\t'
        zpty -r shell out '*instance_type=*'
        zpty -n -w shell $'\x15mmectl wai\t'
        zpty -r shell out '*mmectl wait *'
        zpty -d shell
        print ended
    """
    done = _run(project, [zsh, "-f", "-c", script], TERM="dumb")
    assert done.stdout.splitlines()[-1:] == ["ended"]
