"""Broken AWS settings: never a bug, never a prompt, and no say at all on the embedded platform."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.session
import psutil
import pytest

from mmectl.aws.session import Aws
from mmectl.aws.settings import find_credentials
from mmectl.base.errors import ServiceError
from mmectl.base.values import Credentials
from mmectl.cli import run

KEYS = "aws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n"
ROLE = "role_arn = arn:aws:iam::123456789012:role/r\n"
GOOD = f"[default]\n{KEYS}"

# name: (~/.aws/config, what is said, what is hinted at)
BROKEN = {
    "mfa": (
        f"[profile p]\n{ROLE}source_profile = base\nmfa_serial = arn:aws:iam::1:mfa/x\n"
        f"[profile base]\n{KEYS}",
        "arn:aws:iam::1:mfa/x",
        "aws sts get-caller-identity --profile p",
    ),
    "half a key pair": ("[profile p]\naws_access_key_id = A\n", "aws_secret_access_key", "p"),
    "sso_session of no section": (
        "[profile p]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n",
        'sso-session does not exist: "s"',
        "~/.aws/config",
    ),
    "sso without a token": (
        "[profile p]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n"
        "[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://x.awsapps.com/start\n",
        "Token for",
        "aws sso login --profile p",
    ),
    "old sso without a token": (
        "[profile p]\nsso_region = us-east-1\nsso_start_url = https://x.awsapps.com/start\n"
        "sso_account_id = 123456789012\nsso_role_name = r\n",
        "Token for",
        "aws sso login --profile p",
    ),
    "sso without a role": (
        "[profile p]\nsso_region = us-east-1\nsso_start_url = https://x.awsapps.com/start\n",
        "profile p has no credentials",
        "profile p in",
    ),
    "failing process": ("[profile p]\ncredential_process = false\n", "custom-process", "p"),
    "process of no program": (
        "[profile p]\ncredential_process = /no/such/program\n",
        "/no/such/program",
        "credential_process",
    ),
    "process without JSON": (
        "[profile p]\ncredential_process = echo hello\n",
        "Expecting value",
        "credential_process",
    ),
    "process with other JSON": (
        "[profile p]\ncredential_process = echo '{\"Version\":1}'\n",
        "custom-process",
        "credential_process",
    ),
    "process with a list": (
        "[profile p]\ncredential_process = echo []\n",
        "credential",
        "credential_process",
    ),
    "process with open quotes": (
        "[profile p]\ncredential_process = echo 'x\n",
        "No closing quotation",
        "credential_process",
    ),
    "role without a source": (f"[profile p]\n{ROLE}", "source_profile", "p"),
    "role with two sources": (
        f"[profile p]\n{ROLE}source_profile = p\ncredential_source = Environment\n",
        "source_profile",
        "p",
    ),
    "source of no section": (f"[profile p]\n{ROLE}source_profile = q\n", "q", "p"),
    "circle of sources": (
        f"[profile p]\n{ROLE}source_profile = q\n[profile q]\n{ROLE}source_profile = p\n",
        "Infinite loop",
        "p",
    ),
    "source that is unknown": (f"[profile p]\n{ROLE}credential_source = Moon\n", "Moon", "p"),
    "source from nowhere": (
        f"[profile p]\n{ROLE}credential_source = EcsContainer\n",
        "EcsContainer",
        "p",
    ),
    "role of a service that is away": (
        f"[profile p]\n{ROLE}source_profile = q\n[profile q]\n{KEYS}",
        "Could not connect",
        "AWS_ENDPOINT_URL",
    ),
    "malformed file": ("no section here\n", "", "~/.aws/config"),
    "file that is not text": ("[profile p]\n\udcff\udcfe = 1\n", "", "~/.aws/config"),
    "section twice": (f"{GOOD}{GOOD}", "", "~/.aws/config"),
    "no such profile": (GOOD, "p", "aws configure list-profiles"),
    "web identity without a file": (
        f"[profile p]\n{ROLE}web_identity_token_file = /no/f\n",
        "/no/f",
        "p",
    ),
    "unsupported: login": (
        "[profile p]\nlogin_session = arn:aws:sts::123456789012:assumed-role/a/b\n",
        "botocore[crt]",
        "botocore[crt]",
    ),
}

# variable, value, what is said; "" where it has no say
VARIABLES = [
    ("AWS_RETRY_MODE", "foo", ""),
    ("AWS_MAX_ATTEMPTS", "x", "'x'"),
    ("AWS_MAX_ATTEMPTS", "-1", "-1"),
    ("AWS_STS_REGIONAL_ENDPOINTS", "odd", "odd"),
    ("AWS_CA_BUNDLE", "/no/bundle", "No such file or directory"),
    ("REQUESTS_CA_BUNDLE", "/no/bundle", "No such file or directory"),
    ("AWS_CA_BUNDLE", "/dev/null", "no certificate"),
    ("AWS_DEFAULTS_MODE", "odd", "odd"),
    ("AWS_ENDPOINT_URL", "no address", "no address"),
    ("AWS_ENDPOINT_URL", "http://[", "Invalid IPv6 URL"),
    ("AWS_ENDPOINT_URL_SAGEMAKER", "no address", "no address"),
    ("AWS_REQUEST_CHECKSUM_CALCULATION", "odd", "odd"),
    ("AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES", "x", '"x"'),
    ("AWS_ACCOUNT_ID_ENDPOINT_MODE", "odd", "odd"),
    ("AWS_METADATA_SERVICE_TIMEOUT", "x", "'x'"),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "odd", ""),
    ("AWS_CSM_PORT", "x", ""),
    ("AWS_SDK_UA_APP_ID", "a" * 100, ""),
    ("AWS_PROFILE", "nobody", "nobody"),
    ("AWS_DEFAULT_PROFILE", "nobody", "nobody"),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/token", "/no/token"),
    ("AWS_ACCESS_KEY_ID", "A", "AWS_SECRET_ACCESS_KEY"),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.example/", "evil.example"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/", ""),
    ("AWS_DATA_PATH", "/dev/null", ""),
    ("AWS_USE_FIPS_ENDPOINT", "maybe", ""),
    ("AWS_USE_DUALSTACK_ENDPOINT", "true", ""),
    ("AWS_REGION", "no region", ""),
    ("AWS_DEFAULT_REGION", "no region", ""),
    *(("HTTPS_PROXY", value, "proxy") for value in ("foo://x", "127.0.0.1:9", ":", "é")),
    ("HTTPS_PROXY", "http://[", "Invalid IPv6 URL"),
    ("HTTPS_PROXY", "x:y", "x:y"),
    ("BOTOCORE_EXPERIMENTAL__PLUGINS", "x=y", ""),
]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home and a project of their own; nothing that is asked goes beyond this machine."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "REQUESTS_CA")) or "proxy" in name.lower():
            monkeypatch.delenv(name)
    (tmp_path / ".aws").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    (tmp_path / "config.yaml").write_text("platform: aws\naws: {region: us-east-1}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def silent():
    """The port of somebody who hangs up at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    server.accept()[0].close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def failed(capfd):
    """The error of a command that must end with 1 or 2, and nothing asked on the way."""

    def call(*arguments: str) -> dict:
        code = run([*arguments, "--json"])
        out, _ = capfd.readouterr()
        (error,) = json.loads(out)["errors"]
        assert code in (1, 2), error
        return error

    return call


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_profile_is_named_with_what_to_do(home, failed, name):
    config, said, hint = BROKEN[name]
    (home / ".aws" / "config").write_text(config, errors="surrogateescape")
    error = failed("status", "--set", "aws.profile=p")
    assert said in error["message"]
    assert hint in error["hint"]


@pytest.mark.parametrize(("name", "value", "said"), VARIABLES)
def test_a_broken_variable_is_named(home, failed, silent, monkeypatch, name, value, said):
    if name != "AWS_CONTAINER_CREDENTIALS_FULL_URI":
        (home / ".aws" / "config").write_text(GOOD)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{silent}")
    monkeypatch.setenv(name, value)
    if name == "AWS_WEB_IDENTITY_TOKEN_FILE":
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
    error = failed("status")
    assert said in error["message"]
    if said:
        assert name in error["hint"]


def test_what_never_ends_is_ended(home):
    (home / ".aws" / "config").write_text("[profile p]\ncredential_process = sleep 600\n")
    session = botocore.session.Session(profile="p")
    # Tests that ran before may have left children of their own.
    before = _children()
    with pytest.raises(ServiceError, match=r"not found within 0.5 s") as caught:
        find_credentials(session, interactive=False, patience=0.5)
    assert "credential_process" in caught.value.hint
    assert _children() <= before


def _children() -> set[int]:
    """Tell the processes that this one started and that still run."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


PAGES = {
    "a portal": (200, "text/html; charset=utf-8", b"<html>log in", "the answer is not one of AWS"),
    "a proxy": (
        403,
        "text/html",
        b"<html>no",
        "the answer is not one of AWS (text/html, status 403)",
    ),
}


@pytest.fixture
def portal():
    """Somebody who answers everything with the same page."""

    class Handler(BaseHTTPRequestHandler):
        page = PAGES["a portal"]

        def answer(self) -> None:
            status, kind, body, _ = self.page
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        do_GET = do_POST = do_PUT = do_HEAD = answer  # noqa: N815 - http.server's names

        def log_message(self, *_) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield Handler, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


COMMANDS = ("status", "destroy", "metrics", "upload m")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_in_place_of_an_answer_is_named(home, failed, portal, monkeypatch, command, page):
    (home / ".aws" / "config").write_text(GOOD)
    (home / "config.yaml").write_text(
        "platform: aws\naws: {region: us-east-1}\nimage: {uri: example.com/x:1}\n"
        "models: [{name: m, zoo: resnet_18}]\n"
    )
    handler, url = portal
    monkeypatch.setattr(handler, "page", PAGES[page])
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    error = failed(*command.split())
    assert PAGES[page][3] in error["message"]
    assert "HTTPS_PROXY" in error["hint"]


@pytest.mark.parametrize("body", [b"<a", b"<a/>", b"{", b"[]", b"null", b"hello", b"\xff"])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_answer_that_cannot_be_read_is_no_bug(home, failed, portal, monkeypatch, command, body):
    (home / ".aws" / "config").write_text(GOOD)
    (home / "config.yaml").write_text(
        "platform: aws\naws: {region: us-east-1}\nimage: {uri: example.com/x:1}\n"
        "models: [{name: m, zoo: resnet_18}]\n"
    )
    handler, url = portal
    monkeypatch.setattr(handler, "page", (200, "application/octet-stream", body, ""))
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    failed(*command.split())


def test_nothing_of_it_has_a_say_on_the_embedded_platform(home, monkeypatch):
    """Every broken variable at once, and a file that nobody can parse."""
    config = tuple(vars(client("sts").meta.config).items())
    endpoint = client("sts").meta.endpoint_url
    (home / ".aws" / "config").write_text("no section here\n")
    (home / ".aws" / "models" / "sagemaker" / "2017-07-24").mkdir(parents=True)
    (home / ".aws" / "models" / "sagemaker" / "2017-07-24" / "service-2.json").write_text("{")
    for name, value, _ in VARIABLES:
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    for name in ("sagemaker", "sagemaker-runtime", "s3", "iam", "ecr", "logs", "cloudwatch", "sts"):
        assert client(name).meta.endpoint_url == endpoint
    told = dict(vars(client("sts").meta.config).items())
    ours = {key: value for key, value in config if key != "user_agent_extra"}
    assert {key: told[key] for key in ours} == ours


def client(service: str):
    """A client of the embedded platform."""
    local = Aws(
        region="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        credentials=Credentials("AKIDEXAMPLE", "secret"),
    )
    assert local.region == "us-east-1"
    return local.client(service)
