"""The console's pages of an endpoint on AWS, by real boto3 over HTTP: moto is the account."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator

import pytest
from fakes import moto_account
from fakes.console_site import served
from fakes.moto_account import CONFIG, STREAM, Account

from mmectl.app import App
from mmectl.cli import cli
from mmectl.commands.console import InProcess
from mmectl.console.output import Mode, Output

SETTINGS = """
platform: aws
endpoint: {name: demo}
bucket: {name: models-of-demo, prefix: demo/}
"""


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with pytest.MonkeyPatch.context() as patch, moto_account.served(patch) as made:
        yield made


@pytest.fixture
def commands(account, tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    account.refused.clear()
    out = Output(Mode(quiet=True), io.StringIO(), io.StringIO())
    return InProcess(App(out), cli)


async def shown(commands, path: str) -> str:
    """The text of a page, without its elements."""
    async with served(commands, history=commands.history) as page:
        status, text, _ = await page.get(path)
        assert status == 200, text
        return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))


async def test_each_page_has_the_values_of_the_account(commands, account):
    account.asked.clear()
    text = await shown(commands, "/page/endpoint")
    for part in ("demo", "InService", CONFIG, "s3://models-of-demo/demo/ (3 tarballs)"):
        assert part in text
    text = await shown(commands, "/page/traffic?since=1h")
    assert "Variant AllTraffic" in text
    assert "invocations 7" in text
    assert "p99 1.5 ms" in text
    text = await shown(commands, "/page/models")
    assert "3 models at s3://models-of-demo/demo/" in text
    for name in moto_account.MODELS:
        assert f" {name} v1 " in text
    assert "2.0 kB" in text
    assert "v1 current 2.0 kB" in await shown(commands, "/page/model?name=shapes")
    text = await shown(commands, "/page/logs")
    assert f"{STREAM} the server began" in text
    text = await shown(commands, "/history?since=1d")
    for part in ("created endpoint demo", f"configured {CONFIG}", "log begins"):
        assert part in text
    writes = re.compile(r"(PUT|DELETE) |\w+ [\w.]*\.(Create|Update|Delete|Put|Start|Stop)")
    assert [one for one in account.asked if writes.match(one)] == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/page/endpoint", "SageMaker does not tell which models an instance holds"),
        ("/page/traffic?since=1h", "demo has no figures by model"),
        (
            "/page/models",
            "SageMaker does not tell which are in memory, nor when one was asked last",
        ),
        ("/history?since=1d", "SageMaker does not tell which models were unloaded"),
    ],
)
async def test_what_aws_cannot_tell_is_said(commands, path, said):
    assert said in await shown(commands, path)


async def test_whether_an_answer_was_cold_is_not_known(commands):
    async with served(commands) as page:
        _, text = await page.post("/try", {"name": "shapes", "text": "1,2"})
        assert "cold or warm unknown" in text


@pytest.mark.parametrize(
    ("permission", "path"),
    [
        ("sagemaker:DescribeEndpoint", "/page/endpoint"),
        ("s3:ListBucket", "/page/endpoint"),
        ("cloudwatch:GetMetricData", "/page/traffic?since=1h"),
        ("cloudwatch:ListMetrics", "/page/traffic?since=1h"),
        ("s3:ListBucket", "/page/models"),
        ("logs:DescribeLogStreams", "/page/logs"),
        ("logs:FilterLogEvents", "/page/lines?after={a minute ago}"),
        ("sagemaker:ListEndpointConfigs", "/history?since=1d"),
        ("logs:FilterLogEvents", "/history?since=1d"),
    ],
)
async def test_what_may_not_be_read_is_said_with_the_permission(
    commands, account, permission, path
):
    account.deny(permission)
    path = path.replace("{a minute ago}", str(time.time() - 60))
    text = await shown(commands, path)
    assert f"is not authorized to perform: {permission} " in text
    if not path.startswith("/history"):
        assert f"the caller needs the permission for: {permission};" in text


@pytest.mark.parametrize("path", ["/page/endpoint", "/page/traffic?since=1h", "/page/models"])
async def test_a_call_too_many_is_said_and_tried_again(commands, account, path):
    for permission in ("sagemaker:DescribeEndpoint", "cloudwatch:GetMetricData", "s3:ListBucket"):
        account.refused[permission] = ("ThrottlingException", "Rate exceeded")
    text = await shown(commands, path)
    assert "Rate exceeded" in text
    assert "takes so many calls a second" in text
    account.refused.clear()
    assert "Rate exceeded" not in await shown(commands, path)


async def test_a_page_that_asks_by_itself_keeps_what_it_shows(commands, account):
    account.deny("sagemaker:DescribeEndpoint")
    async with served(commands) as page:
        headers = {"Authorization": "Bearer secret", "HX-Trigger": "poll"}
        _, text, answer = await page.get("/page/endpoint", headers)
        assert answer["HX-Retarget"] == "#failed"
        assert "What is shown below is from before that" in text
