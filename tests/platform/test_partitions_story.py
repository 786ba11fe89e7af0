"""The platform in other partitions, and beside AWS settings that are broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from projects import Project, clean_environment, config_of, made, share_environments

from mmectl.aws.session import Aws
from mmectl.local.client import platform

BROKEN = {
    "AWS_PROFILE": "nobody",
    "AWS_RETRY_MODE": "foo",
    "AWS_MAX_ATTEMPTS": "x",
    "AWS_CA_BUNDLE": "/no/bundle",
    "AWS_ENDPOINT_URL": "no address",
    "AWS_ENDPOINT_URL_S3": "no address",
    "AWS_REGION": "no region",
    "AWS_DEFAULT_REGION": "no region",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "MOTO_ACCOUNT_ID": "999999999999",
}
REGIONS = {
    "us-gov-new-9": ("aws-us-gov", "amazonaws.com"),
    "eusc-de-east-1": ("aws-eusc", "amazonaws.eu"),
    "eu-isoe-west-1": ("aws-iso-e", "cloud.adc-e.uk"),
}


@pytest.mark.parametrize("region", REGIONS)
def test_every_service_names_its_partition(short_dir, client_for, monkeypatch, region):
    name, suffix = REGIONS[region]
    for variable, value in BROKEN.items():
        monkeypatch.setenv(variable, value)
    (short_dir / "config").write_text("no section here\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(short_dir / "config"))
    connection = platform.start(short_dir, region=region)
    monkeypatch.undo()
    try:
        aws = Aws(
            region=region, endpoint_url=connection.endpoint_url, credentials=connection.credentials
        )
        assert aws.identity().account == "123456789012"
        assert aws.identity().arn.startswith(f"arn:{name}:")
        assert aws.role(None).startswith(f"arn:{name}:iam::123456789012:role/")
        made = aws.client("ecr").create_repository(repositoryName="repo")["repository"]
        assert made["repositoryUri"] == f"123456789012.dkr.ecr.{region}.{suffix}/repo"
        assert made["repositoryArn"].startswith(f"arn:{name}:ecr:{region}:")
        token = aws.client("ecr").get_authorization_token()["authorizationData"][0]
        assert token["proxyEndpoint"] == f"https://123456789012.dkr.ecr.{region}.{suffix}"
        with pytest.raises(ClientError, match=f"arn:{name}:sagemaker:{region}:"):
            aws.client("sagemaker").describe_endpoint(EndpointName="none")
        cloudwatch = aws.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName="a",
            Namespace="n",
            MetricName="m",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
        (alarm,) = cloudwatch.describe_alarms()["MetricAlarms"]
        assert alarm["AlarmArn"] == f"arn:{name}:cloudwatch:{region}:123456789012:alarm:a"
        scaling = aws.client("application-autoscaling")
        assert (
            scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
        )
    finally:
        platform.stop(short_dir)


@pytest.fixture(scope="module")
def project(
    root: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Project]:
    """In GovCloud, with a home in which every AWS setting is broken."""
    home = tmp_path_factory.mktemp("home")
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text("no section here\n")
    config = config_of(root, {"shapes": root / "examples" / "models" / "shapes"})
    environment = clean_environment() | BROKEN | {"HOME": str(home)}
    with made(
        root, f"aws: {{region: us-gov-west-1}}\n{config}", environment=environment
    ) as project:
        share_environments(project, request)
        yield project


def test_an_endpoint_is_deployed_in_govcloud(project, root):
    assert ".dkr.ecr.us-gov-west-1.amazonaws.com/" in project.data("build")["image"]
    project.mmectl("upload", "--all")
    assert project.data("deploy")["status"] == "InService"
    star = root / "examples" / "images" / "star.jpg"
    assert "star" in json.dumps(project.data("invoke", "-m", "shapes", str(star)))
    sagemaker = project.client("sagemaker")
    (model,) = sagemaker.list_models()["Models"]
    described = sagemaker.describe_model(ModelName=model["ModelName"])
    assert described["ModelArn"].startswith("arn:aws-us-gov:sagemaker:us-gov-west-1:")
    assert described["ExecutionRoleArn"].startswith("arn:aws-us-gov:iam::123456789012:role/")
    for command in ("status", "logs", "metrics", "models list"):
        project.mmectl(*command.split())
