"""The notebook as it is committed, and those of its cells that AWS alone shows at work."""

from __future__ import annotations

import re
from types import SimpleNamespace

import nbformat
import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def text(root):
    return (root / "examples" / "multi_model_endpoint.ipynb").read_text()


@pytest.fixture(scope="module")
def notebook(text):
    return nbformat.reads(text, as_version=4)


def test_it_is_committed_without_outputs_and_counts(notebook):
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 15
    assert [cell.id for cell in cells if cell.outputs or cell.execution_count] == []
    assert [cell.id for cell in notebook.cells if cell.metadata] == []


def test_it_names_no_version_of_python_and_no_editor(notebook):
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook.metadata == {"kernelspec": kernel, "language_info": {"name": "python"}}


def test_it_is_written_as_nbformat_writes_it(notebook, text):
    """So that saving it in an editor changes no other line."""
    assert text == nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def test_the_platform_is_chosen_at_the_top_and_is_the_embedded_one(notebook):
    first = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert re.match(r'PLATFORM = "local"  # "aws"', first)
    later = "".join(cell.source for cell in notebook.cells[2:])
    assert re.search(r"^ *PLATFORM = ", later, re.MULTILINE) is None


class Clients:
    """Stands for boto3: what clients were made with, and what they were asked."""

    def __init__(self, roles=(), region="eu-central-1"):
        self.made, self.buckets = {}, []
        self.roles, self.region = roles, region

    def client(self, service, **connection):
        self.made[service] = connection
        return SimpleNamespace(
            meta=SimpleNamespace(region_name=self.region),
            exceptions=SimpleNamespace(ClientError=ClientError),
            get_caller_identity=lambda: {"Account": "1"},
            get_paginator=lambda _: SimpleNamespace(paginate=lambda: self.pages()),
            head_bucket=self.refuse,
            create_bucket=lambda **members: self.buckets.append(members),
        )

    def pages(self):
        return [{"Roles": [{"RoleName": name, "Arn": f"arn:{name}"}]} for name in self.roles]

    @staticmethod
    def refuse(**_):
        raise ClientError({"Error": {"Code": "404"}}, "HeadBucket")


def run(notebook, clients, *texts, **given):
    """Run the cells that hold these texts; the names that they leave."""
    names = {"boto3": clients, "BUCKET": None, "ROLE": None, "NAME": "n", **given}
    for text in texts:
        (source,) = [c.source for c in notebook.cells if c.cell_type == "code" and text in c.source]
        exec(compile(source, text, "exec"), names)  # noqa: S102 - the notebook's own cells
    return names


SERVICES = {"s3", "sagemaker", "sagemaker-runtime", "iam", "sts"}


def test_on_aws_boto3_finds_address_and_keys_by_itself_and_no_platform_is_started(notebook):
    clients = Clients()
    found = run(notebook, clients, "connection = {}", PLATFORM="aws")
    assert clients.made == {service: {} for service in SERVICES}
    assert found["region"] == "eu-central-1"


def test_a_role_is_found_on_any_page_and_nobody_chooses_among_several(notebook):
    one, two = (f"AmazonSageMaker-ExecutionRole-{number}" for number in (1, 2))
    cells = ("connection = {}", "def execution_role")
    found = run(notebook, Clients(["other", one]), *cells, PLATFORM="aws")
    assert found["role"] == f"arn:{one}"
    with pytest.raises(LookupError, match=f"arn:{one}.*arn:{two}"):
        run(notebook, Clients([one, two]), *cells, PLATFORM="aws")


@pytest.mark.parametrize(
    ("region", "place"),
    [
        ("us-east-1", {}),
        ("eu-central-1", {"CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}),
    ],
)
def test_a_missing_bucket_is_created_in_the_clients_region(notebook, region, place):
    clients = Clients(region=region)
    run(notebook, clients, "connection = {}", "s3.create_bucket", PLATFORM="aws")
    assert clients.buckets == [{"Bucket": f"sagemaker-{region}-1", **place}]
