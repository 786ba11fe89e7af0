"""Two projects side by side on one machine: platforms, endpoints of one name, ports and sockets."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from projects import PROCESSES, Project, link_environments, made

from mmectl.local.client import platform


@pytest.fixture(scope="module")
def two(root: Path) -> Iterator[tuple[Project, Project]]:
    """Two projects that say the same, each with a model of the same name."""
    config = (
        f"platform: local\nimage: {{context: {root / 'container'}}}\n{PROCESSES}"
        "endpoint: {name: demo}\nmodels: [{name: ring, path: ring}]\n"
    )
    with ExitStack() as stack:
        pair = stack.enter_context(made(root, config)), stack.enter_context(made(root, config))
        for project in pair:
            shutil.copytree(root / "examples" / "xgboost" / "ring", project.folder / "ring")
            link_environments(project)
        yield pair


def answer(project: Project) -> object:
    body = project.data("invoke", "-m", "ring", str(project.folder / "ring" / "rows.csv"))["body"]
    return json.loads(body)


def test_two_projects_serve_endpoints_of_one_name_at_the_same_time(two):
    one, other = two
    for project in two:
        for command in (["build"], ["upload", "--all"], ["deploy"]):
            project.mmectl(*command)
    connections = [platform.find(project.state) for project in two]
    assert len({found.endpoint_url for found in connections}) == 2
    assert len({found.credentials.access_key_id for found in connections}) == 2

    true = json.loads((one.folder / "ring" / "expected.json").read_text())["answers"]["rows.csv"]
    assert answer(one) == pytest.approx(true, abs=1e-6)
    assert answer(one) == answer(other)

    # what is done in one is not seen in the other
    one.mmectl("upload", "second", "--from", str(one.folder / "ring"))
    listed = [{row["name"] for row in p.data("models", "list")["models"]} for p in two]
    assert listed == [{"ring", "second"}, {"ring"}]
    stranger = boto3.client(
        "sagemaker",
        endpoint_url=connections[1].endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=connections[0].credentials.access_key_id,
        aws_secret_access_key=connections[0].credentials.secret_access_key,
    )
    with pytest.raises(ClientError, match=r"security token|signature"):
        stranger.list_endpoints()

    one.mmectl("local", "down")
    assert platform.find(one.state) is None
    assert answer(other) == pytest.approx(true, abs=1e-6)
    one.mmectl("local", "up")  # on its own port again, where that is free
    assert platform.find(one.state).endpoint_url == connections[0].endpoint_url
