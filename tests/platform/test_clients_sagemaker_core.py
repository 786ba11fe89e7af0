"""The whole life of an endpoint with the resources of the SageMaker SDK v3.

The SDK lives in an environment of its own: it needs newer packages than models here may.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from client_fixtures import project
from projects import run_story

from mmectl.base.errors import BuildError
from mmectl.images.uv import Uv, find_uv

__all__ = ["project"]
SDK = "sagemaker-core>=2.20,<3"

STORY = """
import io, json, sys, tarfile
from pathlib import Path

import boto3
from botocore.exceptions import ClientError
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, Tag
from sagemaker.core.shapes import (
    ContainerDefinition, MultiModelConfig, ProductionVariant, Tag as TagShape,
)

image, models, star = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]).read_bytes()
account = boto3.client("sts").get_caller_identity()["Account"]
role = f"arn:aws:iam::{account}:role/AmazonSageMaker-ExecutionRole-local"
bucket, s3 = f"sagemaker-us-east-1-{account}", boto3.client("s3")
s3.create_bucket(Bucket=bucket)

def upload(name, key):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        tar.add(models / name, arcname=".")
    data.seek(0)
    s3.upload_fileobj(data, bucket, "sdk/" + key)

upload("shapes", "shapes.tar.gz")
model = Model.create(
    model_name="sdk",
    execution_role_arn=role,
    primary_container=ContainerDefinition(
        image=image,
        mode="MultiModel",
        model_data_url=f"s3://{bucket}/sdk/",
        multi_model_config=MultiModelConfig(model_cache_setting="Enabled"),
    ),
    tags=[TagShape(key="team", value="a")],
)
assert model.primary_container.mode == "MultiModel"
assert Model.get("sdk").model_arn == model.model_arn
assert [item.model_name for item in Model.get_all()] == ["sdk"]
Tag.add_tags(resource_arn=model.model_arn, tags=[TagShape(key="stage", value="test")])
tags = {tag.key: tag.value for tag in Tag.get_all(resource_arn=model.model_arn)}
assert tags == {"team": "a", "stage": "test"}, tags
Tag.delete_tags(resource_arn=model.model_arn, tag_keys=["team"])
assert [tag.key for tag in Tag.get_all(resource_arn=model.model_arn)] == ["stage"]

def config(name, count):
    return EndpointConfig.create(
        endpoint_config_name=name,
        production_variants=[
            ProductionVariant(
                variant_name="AllTraffic", model_name="sdk", instance_type="ml.m5.xlarge",
                initial_instance_count=count, initial_variant_weight=1,
            )
        ],
    )

first, second = config("sdk-1", 1), config("sdk-2", 2)
assert [c.endpoint_config_name for c in EndpointConfig.get_all(name_contains="sdk-")]
endpoint = Endpoint.create(endpoint_name="sdk", endpoint_config_name="sdk-1")
endpoint.wait_for_status("InService", poll=1, timeout=120)
assert [e.endpoint_name for e in Endpoint.get_all(status_equals="InService")] == ["sdk"]

def ask(target):
    answer = endpoint.invoke(body=star, content_type="image/jpeg", target_model=target)
    assert answer.invoked_production_variant == "AllTraffic"
    return json.loads(answer.body.read())[0].split("class=")[1]

assert ask("shapes.tar.gz") == "star"
upload("digits", "sub/digits.tar.gz")
assert ask("sub/digits.tar.gz")
try:
    ask("nothing.tar.gz")
except ClientError as error:
    assert error.response["Error"]["Code"] == "ValidationError", error
else:
    raise AssertionError("a model that is not there answered")

endpoint.endpoint_config_name = "sdk-2"
endpoint.update()
endpoint.wait_for_status("InService", poll=1, timeout=120)
endpoint.refresh()
assert endpoint.endpoint_config_name == "sdk-2"
variant = endpoint.production_variants[0]
assert (variant.current_instance_count, variant.desired_instance_count) == (2, 2), variant
assert ask("shapes.tar.gz") == "star"

logs = boto3.client("logs")
streams = logs.describe_log_streams(logGroupName="/aws/sagemaker/Endpoints/sdk")["logStreams"]
assert streams
endpoint.delete()
endpoint.wait_for_delete(poll=1, timeout=120)
for item in (first, second, model):
    item.delete()
assert list(Endpoint.get_all()) == list(Model.get_all()) == list(EndpointConfig.get_all()) == []
print("done")
"""


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the SDK; uv links it from its cache in about a second."""
    folder = tmp_path_factory.mktemp("sdk") / "env"
    try:
        uv = Uv(find_uv())
        uv.run("venv", str(folder))
        uv.run("pip", "install", "--python", str(folder / "bin" / "python"), SDK)
    except BuildError as error:
        if "index does not answer" in error.message:
            pytest.skip(f"the SageMaker SDK cannot be fetched: {error.message}")
        raise
    return folder / "bin" / "python"


def test_the_life_of_an_endpoint(sdk, project, root):
    done = run_story(project, sdk, STORY)
    assert done.endswith("done\n")  # the SDK draws panels before it
