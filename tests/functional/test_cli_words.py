"""Words of the command line where something is missing, near or narrow."""

from __future__ import annotations

import io
import urllib.error
import urllib.request

import pytest
from fakes.sagemaker import Sagemaker as FakeSagemaker
from rich.console import Console

from mmectl.aws.sagemaker import Runtime, Sagemaker
from mmectl.base.download import Link, _Redirects, download
from mmectl.base.errors import ArtifactError, DeployError, NoEndpoint, ServiceError
from mmectl.base.text import counted
from mmectl.cli import run
from mmectl.console.output import Mode, Output, Table
from mmectl.deploy.wait import Timing, await_gone
from mmectl.invoke import Request, traffic
from mmectl.traffic.warm import warm


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("bench --requests 20 x", "'--count'"),
        ("bench --seconds 20 x", "'--duration'"),
        ("bench --concurency 2 x", "'--concurrency'"),
        ("deploy --dryrun", "'--dry-run'"),
        ("upload --everything", None),
    ],
)
def test_the_option_that_is_meant_is_named(capsys, arguments, meant):
    assert run(arguments.split()) == 2
    said = capsys.readouterr().err
    assert ("did you mean" in said) == (meant is not None)
    assert (meant or "").partition(" (")[0] in said
    assert "'--quiet'" not in said


MISSING = "Endpoint demo of account 123456789012 not found."


def test_an_endpoint_that_is_missing_is_asked_once(aws, stub):
    stub("sagemaker-runtime").add_client_error("invoke_endpoint", "ValidationError", MISSING, 400)
    requests = [Request("demo", f"{i}.tar.gz", b"x", "text/csv") for i in range(30)]
    with pytest.raises(NoEndpoint) as caught:
        list(traffic(Runtime(aws), requests))
    assert caught.value.hint == "mmectl deploy"
    assert caught.value.code == "not_found"


def test_warming_ends_at_the_first_word_of_a_missing_endpoint():
    asked = []

    def ask(request: Request):
        asked.append(request)
        raise NoEndpoint(MISSING)

    requests = [Request("demo", f"{i}.tar.gz", b"x", "text/csv") for i in range(163)]
    with pytest.raises(NoEndpoint):
        list(warm(ask, requests, concurrency=1, clock=lambda: 0.0))
    assert len(asked) == 1


def test_a_change_under_way_says_how_to_wait(aws, stub):
    text = 'Cannot update in-progress endpoint "arn:aws:sagemaker:x".'
    stub("sagemaker").add_client_error("update_endpoint", "ValidationException", text, 400)
    with pytest.raises(ServiceError) as caught:
        Sagemaker(aws).update_endpoint({"EndpointName": "demo", "EndpointConfigName": "c"})
    assert "mmectl deploy" in caught.value.hint


def test_a_deploy_beside_a_destroy_is_named():
    class Again(FakeSagemaker):
        def describe_endpoint(self, name):
            return {"EndpointStatus": "InService"}

    with pytest.raises(DeployError, match="is InService again: somebody deployed it") as caught:
        list(await_gone(Again(), "demo", Timing()))
    assert "mmectl status" in caught.value.hint


def test_one_is_one():
    assert [counted(n, "model") for n in (0, 1, 2000)] == ["0 models", "1 model", "2,000 models"]


@pytest.mark.parametrize("width", [200, 80, 40, 20])
def test_names_are_whole_however_narrow_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    columns = ("INSTANCE", "STATE", "MODELS", "MEMORY MB", "HITS", "REQ/S", "P50", "P99", "EVICT")
    name = "resnet_18_of_the_north_v12.tar.gz"
    table = Table(columns, [[name, "InService", "12/40", "1024/4096", "99 %", "1", "2", "3", "4"]])
    out = io.StringIO()
    output = Output(Mode(color=False), out, io.StringIO())
    output._console = Console(file=out, force_terminal=True, width=width, no_color=True)
    output._block(table)
    assert name in out.getvalue()
    for header in columns[1:]:
        assert header in out.getvalue()


class Answer(io.BytesIO):
    def __init__(self, body: bytes, headers: dict[str, str]) -> None:
        super().__init__(body)
        self.headers, self.status = headers, 200


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "600"}])
def test_a_file_without_end_is_not_fetched(tmp_path, headers):
    link = Link(
        lambda url, why: ArtifactError(f"{url}: {why}"),
        lambda request, timeout: Answer(b"x" * 600, headers),
        largest=500,
    )
    with pytest.raises(ArtifactError, match="larger than 500 bytes"):
        download("https://a.example/x", tmp_path / "x", link)


@pytest.mark.parametrize(
    ("source", "target", "follows"),
    [
        ("https://a/", "https://b/", True),
        ("http://a/", "https://b/", True),
        ("http://a/", "http://b/", True),
        ("https://a/", "http://b/", False),
        ("https://a/", "ftp://b/", False),
        ("https://a/", "FILE:///etc/passwd", False),
        ("http://a/", "ftp://b/", False),
    ],
)
def test_redirects_lead_to_nothing_weaker(source, target, follows):
    request = urllib.request.Request(source)  # noqa: S310 - never sent
    redirect = (request, None, 302, "Found", {}, target)
    if follows:
        assert _Redirects().redirect_request(*redirect).full_url == target
    else:
        with pytest.raises(urllib.error.URLError, match="which is refused"):
            _Redirects().redirect_request(*redirect)


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        ("models lst", "no such command: models lst", "did you mean: mmectl models list"),
        ("local dwon", "no such command: local dwon", "did you mean: mmectl local down"),
        ("iam foo", "no such command: iam foo", "list them: mmectl iam --help"),
        ("up", "no such command: up", "did you mean: mmectl local up"),
        ("check", "no such command: check", "mmectl models check or mmectl config check"),
        ("ls", "no such command: ls", "did you mean: mmectl models list"),
        ("predict x", "no such command: predict", "did you mean: mmectl invoke"),
        ("frobnicate", "no such command: frobnicate", "list them: mmectl --help"),
        ("local helpp", "no such command: local helpp", "did you mean: mmectl local help"),
        ("helpp", "no such command: helpp", "did you mean: mmectl help"),
        ("vversion", "no such command: vversion", "did you mean: mmectl version"),
        ("help deploy extra", "no such command: deploy extra", "see: mmectl deploy --help"),
        ("help --jsn", "no such option '--jsn'", "did you mean '--json'"),
        ("help --quiet", "error: no such option '--quiet'\n", "see: mmectl --help"),
        ("help models list --nope", "no such option '--nope'", "see: mmectl models list --help"),
        ("help dploy", "no such command: dploy", "did you mean: mmectl deploy"),
        ("help models lst", "no such command: models lst", "did you mean: mmectl models list"),
        ("init --example", "requires an argument", "one of: catboost, "),
        ("init --framework", "requires an argument", "one of: catboost, custom"),
        ("deploy --timeout", "requires an argument", "see: mmectl deploy --help"),
        ("models list --env", "requires an argument", "see: mmectl models list --help"),
        ("plan --platform", "requires an argument", "one of: local, aws"),
    ],
)
def test_what_is_meant_is_named(capsys, tmp_path, monkeypatch, arguments, said, hint):
    monkeypatch.chdir(tmp_path)
    assert run(arguments.split()) == 2
    told = capsys.readouterr().err
    assert said in told
    assert hint in told


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        ("help", "--help"),
        ("help deploy", "deploy --help"),
        ("help models list", "models list --help"),
        ("help deploy --help", "deploy --help"),
        ("help deploy --json", "deploy --help --json"),
        ("help models list --env=dev --quiet", "models list --help --env=dev --quiet"),
        ("help deploy --set endpoint.name=x", "deploy --help --set endpoint.name=x"),
        ("models help list", "models list --help"),
        ("local help", "local --help"),
        ("version", "--version"),
        ("version --json", "--version --json"),
    ],
)
def test_words_for_options(capsys, asked, same):
    shown = []
    for arguments in (asked, same):
        assert run(arguments.split()) == 0
        shown.append(capsys.readouterr())
    assert shown[0] == shown[1]
    assert shown[0].out
