"""`mmectl models`: transcripts and JSON of every command, against S3 in memory."""

from __future__ import annotations

import json

import pytest
from fakes.s3 import FakeS3

from mmectl.app import App
from mmectl.cli import run
from mmectl.state import Identity, Location

ANN = "arn:aws:iam::123456789012:user/ann"


class Aws:
    local = False
    region = "us-east-1"

    def __init__(self, s3):
        self.s3 = s3

    def client(self, service):
        assert service == "s3"
        return self.s3

    def identity(self):
        return Identity("123456789012", ANN, self.region)

    def bucket_exists(self, name):
        return True

    def ensure_bucket(self, name):
        return False


@pytest.fixture
def s3():
    s3 = FakeS3()
    s3.put("bucket", "demo/resnet_18.tar.gz", mmectl_digest="1" * 64)
    s3.put("bucket", "demo/resnet_18_v2.tar.gz", mmectl_digest="2" * 64)
    s3.put("bucket", "demo/shapes.tar.gz", mmectl_digest="3" * 64)
    return s3


@pytest.fixture
def call(s3, tmp_path, monkeypatch, capsys):
    """Run one command; give its exit code, stdout and stderr."""
    (tmp_path / "config.yaml").write_text(
        "platform: aws\nimage: {uri: 'example.com/image:1'}\nendpoint: {name: demo}\n"
    )
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    class World(App):
        aws = Aws(s3)
        location = Location("bucket", "demo/")

    def run_it(*arguments: str) -> tuple[int, str, str]:
        code = run(["models", *arguments], World)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


@pytest.fixture
def data(call):
    """The `data` of a command's envelope."""

    def run_it(*arguments: str):
        code, out, _ = call(*arguments, "--json")
        envelope = json.loads(out)
        assert envelope["command"] == f"models {arguments[0]}"
        assert envelope["exit_code"] == code == 0, out
        return envelope["data"]

    return run_it


def test_list_transcript(call):
    code, out, err = call("list")
    assert (code, err) == (0, "")
    assert out == (
        "MODEL      VERSION    SIZE  DIGEST    AGE  INVOKED  LOADED\n"
        "resnet_18  v2 of 2  1.0 kB  22222222  2 d        -       -\n"
        "shapes     v1       1.0 kB  33333333  2 d        -       -\n"
    )


def test_list_json(data):
    listed = data("list")
    assert (listed["total"], listed["next"]) == (2, None)
    first = listed["models"][0]
    assert first["name"] == "resnet_18"
    assert first["versions"] == [1, 2]
    assert (first["promoted"], first["last_invoked"], first["in_memory_on"]) == (False, None, None)
    assert first["current"]["target_model"] == "resnet_18_v2.tar.gz"
    assert first["current"]["digest"] == "2" * 64


def test_list_page_by_page(call, data, s3):
    for number in range(120):
        s3.put("bucket", f"demo/sub/net_{number:03}.tar.gz")
    code, out, _ = call("list", "sub/", "--limit", "2")
    assert code == 0
    more = "... and 118 more: mmectl models list sub/ --after sub/net_001"
    assert out.splitlines()[-1] == more
    names = []
    page = {"next": ""}
    while page["next"] is not None:
        page = data("list", "sub/", "--after", page["next"])
        names += [model["name"] for model in page["models"]]
    assert names == [f"sub/net_{number:03}" for number in range(120)]
    assert len(data("list", "--all")["models"]) == 122


def test_many_models_are_not_looked_at_one_by_one(data, s3):
    for number in range(300):
        s3.put("bucket", f"demo/net_{number:03}.tar.gz", mmectl_digest="4" * 64)
    assert data("list", "--all")["models"][0]["current"]["digest"] is None
    assert "head" not in s3.calls
    assert data("list", "--all", "--details")["models"][0]["current"]["digest"] == "4" * 64


def test_list_of_nothing(call):
    code, out, _ = call("list", "none")
    assert code == 0
    assert out == "no model lies under s3://bucket/demo/none; upload: mmectl upload --all\n"


def test_promote_and_rollback_transcripts(call):
    promoted = call("promote", "resnet_18", "v1")
    assert promoted == (0, "resnet_18 is v1 (resnet_18.tar.gz), was v2\n", "")
    again = call("promote", "resnet_18", "v1")
    assert again == (0, "resnet_18 is v1 (resnet_18.tar.gz): nothing to do\n", "")
    assert "resnet_18  v1 of 2" in call("list")[1]
    back = call("rollback", "resnet_18")
    assert back == (0, "resnet_18 is v2 (resnet_18_v2.tar.gz), was v1\n", "")


def test_promote_and_rollback_json(data):
    assert data("promote", "resnet_18_v2", "v1") == {
        "name": "resnet_18",
        "version": 1,
        "before": 2,
        "target_model": "resnet_18.tar.gz",
        "changed": True,
    }
    assert data("rollback", "resnet_18")["version"] == 2


def test_history(call, data):
    none = "resnet_18: none was promoted: the newest version is current\n"
    assert call("history", "resnet_18") == (0, none, "")
    call("promote", "resnet_18", "v1")
    call("rollback", "resnet_18")
    rows = [line.split() for line in call("history", "resnet_18")[1].splitlines()]
    assert rows[0] == ["WHEN", "WHAT", "TO", "FROM", "BY"]
    assert [row[1:] for row in rows[1:]] == [
        ["rollback", "v2", "v1", ANN],
        ["promote", "v1", "v2", ANN],
    ]
    changes = data("history", "resnet_18")["history"]
    assert [change["action"] for change in changes] == ["rollback", "promote"]


def test_show(call, data):
    call("promote", "resnet_18", "v1")
    code, out, _ = call("show", "resnet_18")
    lines = out.splitlines()
    assert code == 0
    assert lines[1].split() == [
        "*",
        "resnet_18.tar.gz",
        "1.0",
        "kB",
        "11111111",
        "2",
        "d",
        "-",
        "-",
    ]
    assert lines[2].split()[0] == "resnet_18_v2.tar.gz"
    assert lines[4].startswith(f"current  v1, promote by {ANN} at 20")
    shown = data("show", "resnet_18")
    assert (shown["current"], shown["promoted"]) == (1, True)
    assert [item["version"] for item in shown["versions"]] == [1, 2]
    assert shown["history"][0]["by"] == ANN


@pytest.mark.parametrize(
    ("arguments", "code", "said", "hint"),
    [
        (["show", "resnet"], 1, "resnet: no such model", "did you mean resnet_18"),
        (["promote", "resnet_18"], 2, "which version of resnet_18?", "resnet_18 v2"),
        (["promote", "resnet_18", "v9"], 1, "there is no v9: there are v1, v2", "models show"),
        (["promote", "resnet_18", "new"], 2, "'new': not a version", "write it like v2"),
        (["promote", "resnet_18", "v1", "--expect", "v1"], 1, "v1 is not current", "v1   #"),
        (["rollback", "shapes"], 1, "there is nothing to go back to", "models show shapes"),
        (["lst"], 2, "no such command", "mmectl models --help"),
    ],
)
def test_bad_input_has_message_and_next_step(call, arguments, code, said, hint):
    found, out, err = call(*arguments)
    assert (found, out) == (code, "")
    assert said in err
    assert hint in err


def test_every_command_has_help_with_examples(call):
    from mmectl.commands.models import models

    for name in models.commands:
        code, out, _ = call(name, "--help")
        assert code == 0
        assert "Examples:" in out
        assert all(len(line) <= 80 for line in out.splitlines())
