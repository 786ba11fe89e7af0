"""`mmectl local env`: what real shells and real clients make of it."""

from __future__ import annotations

import os
import shutil
import subprocess

import botocore.session
import pytest

from mmectl.commands.shell_lines import SERVICES, UNSET, lines

VALUES = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "AKID",
    "AWS_SECRET_ACCESS_KEY": 'it\'s a $HOME `id` \\ "key"',
}
ELSEWHERE = {
    **dict.fromkeys(UNSET, "1"),
    **{f"AWS_ENDPOINT_URL_{name}": "http://elsewhere" for name in (*SERVICES, "KMS", "DYNAMODB")},
    "AWS_ENDPOINT_URL": "http://elsewhere",
    "NO_PROXY": "a.example",
}


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh", "fish"])
@pytest.mark.parametrize("before", [ELSEWHERE, {}], ids=["elsewhere", "empty"])
def test_a_shell_has_the_platform_and_nothing_else(shell, before):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    script = "\n".join(lines(VALUES, "fish" if shell == "fish" else "sh", before)) + "\nenv -0"
    done = subprocess.run(
        [program, "-c", script],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **before},
        capture_output=True,
        check=True,
        text=True,
    )
    found = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    assert {name: value for name, value in found.items() if name.startswith("AWS_")} == VALUES
    assert found["NO_PROXY"] == ("127.0.0.1,a.example" if before else "127.0.0.1")
    assert found["no_proxy"] == "127.0.0.1"


@pytest.mark.parametrize("service", ["s3", "sagemaker", "sagemaker-runtime", "sts", "kms"])
def test_a_client_goes_to_the_platform(monkeypatch, service):
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in {**ELSEWHERE, **VALUES}.items():
        monkeypatch.setenv(name, value)
    for name in lines(VALUES, "sh", ELSEWHERE)[-1].split()[1:]:
        monkeypatch.delenv(name, raising=False)
    client = botocore.session.Session().create_client(service)
    assert client.meta.endpoint_url == VALUES["AWS_ENDPOINT_URL"]
