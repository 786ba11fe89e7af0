"""What `mmectl gc` asks of AWS and removes there, by botocore's model of it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from fakes.cli import call, result, world

from mmectl.aws.leftovers import Leftovers
from mmectl.base.values import Location
from mmectl.commands.gc import _view
from mmectl.deploy.leftovers import Leftover

__all__ = ["call", "world"]

NOW = 1_750_000_000.0
DAY = 86_400.0
ARN = "arn:aws:sagemaker:eu-central-1:123456789012"
ALARM = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:demo-v-errors"


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def leftovers(aws: Any, **more: Any) -> Leftovers:
    return Leftovers(aws, "demo", Location("models", "demo/"), "repo", now=lambda: NOW, **more)


def endpoints(stub: Any, *names: str, status: str = "InService") -> None:
    rows = [
        {
            "EndpointName": name,
            "EndpointArn": f"{ARN}:endpoint/{name}",
            "CreationTime": at(NOW - 30 * DAY),
            "LastModifiedTime": at(NOW),
            "EndpointStatus": status,
        }
        for name in names
    ]
    stub("sagemaker").add_response("list_endpoints", {"Endpoints": rows})


def described(stub: Any, name: str, config: str, pending: str | None = None) -> None:
    more = {}
    if pending:
        more["PendingDeploymentSummary"] = {"EndpointConfigName": pending}
    answer = {
        "EndpointName": name,
        "EndpointArn": f"{ARN}:endpoint/{name}",
        "EndpointConfigName": config,
        "EndpointStatus": "Updating" if pending else "InService",
        "CreationTime": at(NOW - 30 * DAY),
        "LastModifiedTime": at(NOW),
        "ProductionVariants": [{"VariantName": "v", "CurrentInstanceCount": 2}],
        **more,
    }
    stub("sagemaker").add_response("describe_endpoint", answer, {"EndpointName": name})


def variants(model: str) -> list[dict[str, Any]]:
    return [
        {
            "VariantName": "v",
            "ModelName": model,
            "InstanceType": "ml.m5.xlarge",
            "InitialInstanceCount": 2,
        }
    ]


def config_described(stub: Any, name: str, model: str) -> None:
    answer = {
        "EndpointConfigName": name,
        "EndpointConfigArn": f"{ARN}:endpoint-config/{name}",
        "ProductionVariants": variants(model),
        "CreationTime": at(NOW),
    }
    asked = {"EndpointConfigName": name}
    stub("sagemaker").add_response("describe_endpoint_config", answer, asked)


def tags(stub: Any, arn: str, endpoint: str | None) -> None:
    found = [{"Key": "mmectl:endpoint", "Value": endpoint}] if endpoint else []
    stub("sagemaker").add_response("list_tags", {"Tags": found}, {"ResourceArn": arn})


def test_of_what_carries_the_tag_the_live_and_the_pending_one_stay(aws, stub):
    sagemaker = stub("sagemaker")
    configs = [
        {
            "EndpointConfigName": name,
            "EndpointConfigArn": f"{ARN}:endpoint-config/{name}",
            "CreationTime": at(NOW - DAY),
        }
        for name in ("demo-live", "demo-next", "demo-old", "theirs")
    ]
    models = [
        {"ModelName": name, "ModelArn": f"{ARN}:model/{name}", "CreationTime": at(NOW - DAY)}
        for name in ("m-live", "m-old")
    ]
    sagemaker.add_response("list_endpoint_configs", {"EndpointConfigs": configs})
    for name in ("demo-live", "demo-next", "demo-old", "theirs"):
        tags(stub, f"{ARN}:endpoint-config/{name}", None if name == "theirs" else "demo")
        if name != "theirs":
            config_described(stub, name, "m-old" if name == "demo-old" else "m-live")
    sagemaker.add_response("list_models", {"Models": models})
    for name in ("m-live", "m-old"):
        tags(stub, f"{ARN}:model/{name}", "demo")
    endpoints(stub, "demo")
    described(stub, "demo", "demo-live", "demo-next")
    found = [(one.kind, one.name) for one in leftovers(aws, kept=0).superseded()]
    assert found == [("endpoint-config", "demo-old"), ("model", "m-old")]


def test_a_model_that_serves_by_somebody_elses_configuration_stays(aws, stub):
    sagemaker = stub("sagemaker")
    sagemaker.add_response("list_endpoint_configs", {"EndpointConfigs": []})
    model = {"ModelName": "m", "ModelArn": f"{ARN}:model/m", "CreationTime": at(NOW - DAY)}
    sagemaker.add_response("list_models", {"Models": [model]})
    tags(stub, f"{ARN}:model/m", "demo")
    endpoints(stub, "theirs")
    described(stub, "theirs", "by-hand")
    config_described(stub, "by-hand", "m")
    assert list(leftovers(aws).superseded()) == []


def test_image_tags_of_endpoints_that_are_gone(aws, stub):
    names = ["in-use.demo.0a1b2c3d4e5f", "in-use.gone.0a1b2c3d4e5f", "0a1b2c3d4e5f"]
    rows = [{"imageTag": name, "imageDigest": "sha256:" + "0" * 64} for name in names]
    stub("ecr").add_response("list_images", {"imageIds": rows})
    endpoints(stub, "demo")
    (one,) = leftovers(aws).tags()
    assert (one.name, one.why) == (names[1], "its endpoint gone is gone")


def test_unfinished_uploads_below_the_prefix(aws, stub):
    stub("s3").add_response("head_bucket", {"ResponseMetadata": {"HTTPHeaders": {}}})
    rows = [
        {"Key": "demo/old.tar.gz", "UploadId": "1", "Initiated": at(NOW - 2 * DAY)},
        {"Key": "demo/new.tar.gz", "UploadId": "2", "Initiated": at(NOW - 60)},
    ]
    asked = {"Bucket": "models", "Prefix": "demo/"}
    stub("s3").add_response("list_multipart_uploads", {"Uploads": rows}, asked)
    found = leftovers(aws)
    (one,) = found.uploads()
    asked = {"Bucket": "models", "Key": "demo/old.tar.gz", "UploadId": "1"}
    stub("s3").add_response("abort_multipart_upload", {}, asked)
    found.remove(one)


def test_targets_and_logs_of_others_are_told_alone(aws, stub):
    rows = [
        {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{name}/variant/v",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "MinCapacity": 1,
            "MaxCapacity": 2,
            "RoleARN": "arn:aws:iam::123456789012:role/r",
            "CreationTime": at(NOW),
        }
        for name in ("demo", "theirs", "alive")
    ]
    stub("application-autoscaling").add_response(
        "describe_scalable_targets", {"ScalableTargets": rows}, {"ServiceNamespace": "sagemaker"}
    )
    endpoints(stub, "alive")
    found = leftovers(aws)
    assert [(one.name.split("/")[1], one.ours) for one in found.targets()] == [
        ("demo", True),
        ("theirs", False),
    ]
    groups = [
        {"logGroupName": f"/aws/sagemaker/Endpoints/{name}", "storedBytes": 2 * 10**6}
        for name in ("demo", "theirs", "alive")
    ]
    stub("logs").add_response("describe_log_groups", {"logGroups": groups})
    logs = list(found.logs())
    assert [(one.name.rpartition("/")[2], one.ours) for one in logs] == [
        ("demo", True),
        ("theirs", False),
    ]
    assert logs[0].why == "its endpoint demo is gone; 2.0 MB"


def test_alarms_on_endpoints_that_are_gone(aws, stub):
    rows = [
        {
            "AlarmName": name,
            "AlarmArn": ALARM,
            "Dimensions": [{"Name": "EndpointName", "Value": endpoint}],
        }
        for name, endpoint in (("demo-v-errors", "demo"), ("x", "theirs"), ("y", "alive"))
    ]
    stub("cloudwatch").add_response(
        "describe_alarms", {"MetricAlarms": [*rows, {"AlarmName": "z", "Dimensions": []}]}
    )
    tagged = {"Tags": [{"Key": "mmectl:endpoint", "Value": "demo"}]}
    stub("cloudwatch").add_response("list_tags_for_resource", tagged, {"ResourceARN": ALARM})
    endpoints(stub, "alive")
    found = leftovers(aws)
    alarms = list(found.alarms())
    assert [(one.name, one.ours) for one in alarms] == [("demo-v-errors", True), ("x", False)]
    stub("cloudwatch").add_response("delete_alarms", {}, {"AlarmNames": ["demo-v-errors"]})
    found.remove(alarms[0])


def test_an_alarm_without_mmectls_tag_is_somebody_elses(aws, stub):
    named = [{"Name": "EndpointName", "Value": "demo"}]
    row = {"AlarmName": "demo-by-hand", "AlarmArn": ALARM, "Dimensions": named}
    stub("cloudwatch").add_response("describe_alarms", {"MetricAlarms": [row]})
    stub("cloudwatch").add_response("list_tags_for_resource", {"Tags": []}, {"ResourceARN": ALARM})
    endpoints(stub, "alive")
    assert [(one.name, one.ours) for one in leftovers(aws).alarms()] == [("demo-by-hand", False)]


def test_builds_that_were_killed(aws, stub):
    codebuild = stub("codebuild")
    codebuild.add_response("list_projects", {"projects": ["mmectl-build-a", "other"]})
    project = {"name": "mmectl-build-a", "created": at(NOW - DAY)}
    asked = {"names": ["mmectl-build-a"]}
    codebuild.add_response("batch_get_projects", {"projects": [project]}, asked)
    found = leftovers(aws)
    (one,) = found.builds()
    codebuild.add_response("delete_project", {}, {"name": "mmectl-build-a"})
    stub("logs").add_client_error("delete_log_group", "ResourceNotFoundException", "none")
    key = {"Bucket": "models", "Key": "mmectl-build/mmectl-build-a.zip"}
    stub("s3").add_response("delete_object", {}, key)
    found.remove(one)


@pytest.mark.parametrize(("values", "idle"), [([], ["demo"]), ([0.0, 0.0], ["demo"]), ([3.0], [])])
def test_an_endpoint_without_requests_is_idle(aws, stub, values, idle):
    endpoints(stub, "demo")
    described(stub, "demo", "demo-live")
    row = {"Id": "q0", "Timestamps": [at(NOW)] * len(values), "Values": values}
    stub("cloudwatch").add_response("get_metric_data", {"MetricDataResults": [row]})
    assert [name for name, _ in leftovers(aws).idle()] == idle


def test_what_is_gone_already_is_fine(aws, stub):
    text = 'Could not find model "arn"'
    stub("sagemaker").add_client_error("delete_model", "ValidationException", text)
    leftovers(aws).remove(Leftover("model", "m", ""))


def test_nothing_is_removed_unless_asked(call, world, aws, stub):
    code, out, err = _gc(call, world, aws, stub)
    assert code == 0, err
    data = result(out)["data"]
    assert [row["name"] for row in data["leftovers"]] == ["/aws/sagemaker/Endpoints/demo"]
    assert (data["removed"], data["idle"]) == ([], [])
    assert "image tags were not looked for" in err
    code, out, _ = _gc(call, world, aws, stub, "--yes")
    assert result(out)["data"]["removed"] == ["/aws/sagemaker/Endpoints/demo"]


def test_nothing_found_is_not_nothing_left_where_something_was_not_looked_for():
    assert _view([], [], 0, None, all_looked=True) == ["nothing of mmectl's is left over"]
    (said,) = _view([], [], 0, None, all_looked=False)
    assert said == "nothing of mmectl's was found, as far as was looked for"


def _gc(call: Any, world: Any, aws: Any, stub: Any, *more: str) -> tuple[int, str, str]:
    """Nothing but a log group is left over, and images may not be looked at."""
    sagemaker = stub("sagemaker")
    sagemaker.add_response("list_endpoint_configs", {"EndpointConfigs": []})
    sagemaker.add_response("list_models", {"Models": []})
    endpoints(stub)
    stub("ecr").add_client_error("list_images", "AccessDeniedException", "no", 400)
    stub("codebuild").add_response("list_projects", {"projects": ["other"]})
    stub("s3").add_response("list_multipart_uploads", {"Uploads": []})
    stub("application-autoscaling").add_response(
        "describe_scalable_targets", {"ScalableTargets": []}
    )
    stub("cloudwatch").add_response("describe_alarms", {"MetricAlarms": []})
    groups = [{"logGroupName": "/aws/sagemaker/Endpoints/demo", "storedBytes": 0}]
    stub("logs").add_response("describe_log_groups", {"logGroups": groups})
    if "--yes" in more:
        group = {"logGroupName": "/aws/sagemaker/Endpoints/demo"}
        stub("logs").add_response("delete_log_group", {}, group)
    world.aws.client = lambda service, region=None: aws.client(service, region=region)
    return call("gc", "--json", *more)
