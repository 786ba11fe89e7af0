"""`mmectl bug-report`: all that helps, and no secret that was planted anywhere."""

from __future__ import annotations

import json
import stat
import tarfile
import threading
from pathlib import Path

import pytest
from fakes.cli import call, result, world

from mmectl.commands import bug_parts

__all__ = ["call", "world"]

CONFIG = """\
platform: local
endpoint:
  name: demo
  environment: {API_KEY: hush-literal, OTHER: "${FROM_OUTSIDE}"}
aws: {tags: {owner: hush-tag}, role: arn:aws:iam::123456789012:role/serving}
models:
  - name: net
    source: "https://b.s3.amazonaws.com/net.tar.gz?X-Amz-Signature=hush-signed"
    sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
image: {index: "https://packages.example/simple"}
"""
LOG = """\
started with hush-literal and hush-outside, for 123456789012
GET https://b.s3.amazonaws.com/net?X-Amz-Security-Token=hush-query&a=1
mmectl deploy --set endpoint.environment={A: hush-given}
password=hush-word Authorization: Bearer hush-bearer
the model answered in 3 ms
"""
VARIABLES = {
    "AWS_SECRET_ACCESS_KEY": "hush-secret-key",
    "AWS_SESSION_TOKEN": "hush-session",
    "AWS_PROFILE": "hush-profile",
    "AWS_REGION": "eu-central-1",
    "MMECTL_IMAGE_REPOSITORY": "birds",
    "MMECTL_ENDPOINT_INSTANCE_COUNT": "2",
    "FROM_OUTSIDE": "hush-outside",
    "HF_TOKEN": "hush-foreign",
}


@pytest.fixture
def planted(world, tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(CONFIG)
    logs = tmp_path / ".mmectl" / "local"
    (logs / "logs" / "demo" / "AllTraffic").mkdir(parents=True)
    (logs / "logs" / "demo" / "AllTraffic" / "i-1.log").write_text(LOG)
    (logs / "platform.log").write_text(LOG)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (temporary / "mmectl-bug-x.log").write_text(f"Traceback\nKeyError: 'hush-foreign'\n{LOG}")
    (temporary / "mmectl-bug-y.log").symlink_to("/etc/hostname")
    home = tmp_path / "home"
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "credentials").write_text("[x]\naws_secret_access_key = hush-of-a-file\n")
    (temporary / "mmectl-bug-z.log").write_text("hush-of-a-file")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):  # moto's, of other tests
        monkeypatch.delenv(name, raising=False)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def _read(path):
    with tarfile.open(path) as tar:
        return {
            member.name.partition("/")[2]: tar.extractfile(member).read().decode()
            for member in tar.getmembers()
        }


def test_a_report_has_what_helps_and_no_secret(call, planted):
    given = ("--set", "endpoint.environment={A: hush-given, B: '${X}'}")
    code, out, _ = call("bug-report", "--output", "r.tar.gz", *given)
    assert code == 0
    path = planted / "r.tar.gz"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = _read(path)
    assert "hush" not in "".join(found.values())
    assert "123456789012" not in "".join(found.values())
    assert json.loads(found["config-check.json"])["problems"] == []
    assert "the model answered in 3 ms" in found["logs/logs-demo-AllTraffic-i-1.log"]
    assert "Traceback" in found["tracebacks/mmectl-bug-x.log"]
    assert "tracebacks/mmectl-bug-y.log" not in found
    values = json.loads(found["config.json"])
    assert values["endpoint.environment"]["value"] == {"A": "***", "B": "***"}
    assert values["aws.role"]["value"] == "arn:aws:iam::<account-1>:role/serving"
    variables = json.loads(found["variables.json"])
    assert variables["AWS_PROFILE"] == "set"
    assert variables["MMECTL_IMAGE_REPOSITORY"] == "set"
    assert variables["AWS_REGION"] == "eu-central-1"
    assert variables["MMECTL_ENDPOINT_INSTANCE_COUNT"] == "2"
    assert "HF_TOKEN" not in variables
    assert json.loads(found["config-check.json"])["problems"] == []
    assert "does not run" in found["doctor.json"]
    assert all(name in out for name in found)
    assert "nothing was sent" in out


@pytest.mark.parametrize(
    "text",
    [
        "endpoint: {name: demo, environment: {API_KEY: hush-literal}, nope: 1}\n",
        "endpoint: {environment: [hush-literal]}\n",
        "environments: {prod: {endpoint: {environment: {A: hush-literal}}, nope: 1}}\n",
    ],
)
def test_a_configuration_that_is_wrong_is_reported_without_secrets(call, planted, text):
    (planted / "config.yaml").write_text(text)
    code, _, _ = call("bug-report", "--output", "r.tar.gz", "--no-doctor")
    found = _read(planted / "r.tar.gz")
    assert code == 0
    assert json.loads(found["config-check.json"])["problems"]
    assert "the model answered in 3 ms" in found["logs/platform.log"]
    assert "hush-literal" not in "".join(found.values())


def test_what_may_not_be_read_is_left_out(call, planted, monkeypatch):
    """As where files belong to another user; for root every file can be read."""
    config, real = planted / "config.yaml", Path.open

    def opened(path, *args, **more):
        if path == config:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **more)

    def look(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(Path, "glob", look)
    code, _, _ = call("bug-report", "--output", "r.tar.gz", "--no-doctor")
    assert code == 0
    assert "hush" not in "".join(_read(planted / "r.tar.gz").values())


def test_where_it_cannot_be_written_another_place_is_named(call, planted):
    code, _, err = call("bug-report", "--output", "/proc/r.tar.gz", "--no-doctor")
    assert code == 1
    assert "next:  write it elsewhere: mmectl bug-report --output FILE" in err


def test_nothing_is_overwritten(call, planted):
    (planted / "mine").write_text("mine")
    code, _, err = call("bug-report", "--output", "mine")
    assert (code, (planted / "mine").read_text()) == (2, "mine")
    assert "mine exists" in err
    code, out, _ = call("bug-report", "--output", ".", "--no-doctor", "--json")
    data = result(out)["data"]
    assert data["archive"].startswith(str(planted / "mmectl-bug-report-"))
    assert {one["name"] for one in data["files"]} == set(_read(data["archive"]))


def test_what_takes_too_long_is_left_out():
    ended = threading.Event()

    def hang() -> str:
        ended.wait(5)
        return ""

    assert "no answer within" in bug_parts._in_time(hang, 0.05)
    ended.set()


def test_a_bug_names_the_command(call, world, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(world, "sagemaker", None)
    code, _, err = call("status")
    assert (code, "next:  mmectl bug-report" in err) == (3, True)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(28, "No space left on device", "/x y/z"), 1, "next:  free some space"),
        (PermissionError(13, "Permission denied", "/x y/z"), 1, "next:  see who owns it: ls -ld"),
        (FileNotFoundError(2, "No such file", "/x y/z"), 3, "next:  mmectl bug-report"),
    ],
)
def test_what_the_system_refuses_is_no_bug(call, world, monkeypatch, tmp_path, error, code, said):
    class Refusing:
        def __getattr__(self, _name):
            raise error

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(world, "sagemaker", Refusing())
    found, _, err = call("status")
    assert (found, said in err) == (code, True), err
    assert ("/x y/z: " in err) or code == 3
