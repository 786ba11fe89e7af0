"""Metrics, alarms and logs of real invocations: boto3, the AWS CLI, and mmectl as it is typed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import warm_start
from botocore.exceptions import ClientError
from projects import BIN, Project, config_of, made, share_environments, surroundings_of

COUNTS = {
    "Invocations": 9,
    "InvocationsPerInstance": 9,
    "Invocation4XXErrors": 2,
    "Invocation5XXErrors": 0,
    "InvocationModelErrors": 1,
    "ModelCacheHit": 6,
}
TIMED = {"ModelLatency": 8, "OverheadLatency": 8, "ModelLoadingTime": 2, "ModelDownloadingTime": 2}


@pytest.fixture(scope="module")
def project(root: Path, runtime: str, request: pytest.FixtureRequest) -> Iterator[Project]:
    """One instance that has answered nine requests: see COUNTS."""
    local, environment = surroundings_of(runtime, request)
    models = {name: root / "examples" / "models" / name for name in ("shapes", "digits")}
    settings = config_of(root, models, local, "metrics: {enhanced: true}")
    with made(root, settings, local, environment) as project:
        if runtime == "process":
            share_environments(project, request)
        project.mmectl("build")
        project.mmectl("upload", "--all")
        project.mmectl("deploy")
        ask(project)
        yield project


def ask(project: Project) -> None:
    """Seven answers, two of them after a load; a body that is no picture; an unknown model."""
    star = (project.root / "examples" / "images" / "star.jpg").read_bytes()
    runtime = project.client("sagemaker-runtime")
    for target in ["shapes"] * 4 + ["digits"] * 3:
        invoke(runtime, target, star)
    with pytest.raises(ClientError, match="client error"):
        invoke(runtime, "shapes", b"no picture")
    with pytest.raises(ClientError, match="nobody"):
        invoke(runtime, "nobody", star)


def invoke(runtime: Any, model: str, body: bytes) -> None:
    runtime.invoke_endpoint(
        EndpointName="demo", TargetModel=f"{model}.tar.gz", ContentType="image/jpeg", Body=body
    )


def sums(project: Project, statistic: str, names: Any) -> dict[str, float]:
    """Sums over the last hour, through GetMetricData."""
    dimensions = [
        {"Name": "EndpointName", "Value": "demo"},
        {"Name": "VariantName", "Value": "AllTraffic"},
    ]
    queries = [
        {
            "Id": f"m{number}",
            "Label": name,
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SageMaker",
                    "MetricName": name,
                    "Dimensions": dimensions,
                },
                "Period": 60,
                "Stat": statistic,
            },
        }
        for number, name in enumerate(names)
    ]
    now = datetime.now(timezone.utc)
    answer = project.client("cloudwatch").get_metric_data(
        MetricDataQueries=queries,
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
    )
    return {row["Label"]: sum(row["Values"]) for row in answer["MetricDataResults"]}


def cli(project: Project, *arguments: str) -> Any:
    """The AWS CLI, with nothing but what `mmectl local env` exports."""
    done = warm_start.run(
        BIN / "aws",
        *("cloudwatch", *arguments, "--output", "json"),
        cwd=project.folder,
        env=project.environment | project.told,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout or b"null")


def test_every_invocation_is_counted_once(project):
    assert sums(project, "Sum", COUNTS) == COUNTS
    assert sums(project, "SampleCount", TIMED) == TIMED


def test_the_aws_cli_sees_the_same(project):
    listed = cli(project, "list-metrics", "--namespace", "AWS/SageMaker")["Metrics"]
    assert {*COUNTS, *TIMED} <= {metric["MetricName"] for metric in listed}
    now = datetime.now(timezone.utc)
    asked = (
        *("get-metric-statistics", "--namespace", "AWS/SageMaker", "--metric-name", "ModelLatency"),
        *("--dimensions", "Name=EndpointName,Value=demo", "Name=VariantName,Value=AllTraffic"),
        *("--start-time", (now - timedelta(minutes=30)).isoformat(), "--period", "3600"),
        *("--end-time", (now + timedelta(minutes=1)).isoformat()),
    )
    (point,) = cli(project, *asked, "--statistics", "SampleCount", "Maximum")["Datapoints"]
    (median,) = cli(project, *asked, "--extended-statistics", "p50")["Datapoints"]  # not both
    assert (point["Unit"], point["SampleCount"]) == ("Microseconds", 8)
    assert 500 < median["ExtendedStatistics"]["p50"] <= point["Maximum"] < 60e6


def test_an_alarm_from_either_client(project):
    cloudwatch = project.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="errors",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    (alarm,) = cli(project, "describe-alarms", "--alarm-names", "errors")["MetricAlarms"]
    assert alarm["StateValue"] == "OK"
    state = ("--state-value", "ALARM", "--state-reason", "try")
    cli(project, "set-alarm-state", "--alarm-name", "errors", *state)
    (alarm,) = cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]
    assert (alarm["AlarmName"], alarm["StateReason"]) == ("errors", "try")
    with pytest.raises(ClientError) as caught:
        cloudwatch.set_alarm_state(AlarmName="nobody", StateValue="OK", StateReason="try")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"
    cli(project, "delete-alarms", "--alarm-names", "errors")
    assert cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_dashboards_are_still_there(project):
    cloudwatch = project.client("cloudwatch")
    cloudwatch.put_dashboard(DashboardName="mine", DashboardBody='{"widgets": []}')
    listed = cloudwatch.list_dashboards()["DashboardEntries"]
    assert [entry["DashboardName"] for entry in listed] == ["mine"]


def test_mmectl_metrics_and_top(project):
    (variant,) = project.data("metrics", "--since", "30m")["variants"]
    rows = {row["metric"]: row["statistics"] for row in variant["metrics"]}
    assert {name: rows[name]["Sum"] for name in COUNTS} == COUNTS
    (endpoint,) = project.data("local", "top")["endpoints"]
    (instance,) = endpoint["instances"]
    assert (instance["live"]["loads"], len(instance["models"])) == (2, 2)
    assert b"hits" in project.mmectl("local", "top", "--once").stdout


def test_mmectl_metrics_by_model_and_by_instance(project):
    found = project.data("metrics", "--by-model", "--since", "30m")
    models = {row["target_model"]: row for row in found["models"]}
    assert {n: (row["requests"], row["errors"]) for n, row in models.items()} == {
        "shapes.tar.gz": (5, 1),
        "digits.tar.gz": (3, 0),
    }
    assert [row["target_model"] for row in found["models"]] == ["shapes.tar.gz", "digits.tar.gz"]
    assert {(row["loads"], row["evictions"]) for row in models.values()} == {(1, 0)}
    assert all(0 < row["p50_ms"] <= row["p99_ms"] < 60_000 for row in models.values())
    assert found["other"] is None
    ((named, problem),) = ((row["instance_id"], row["problem"]) for row in found["instances"])
    assert problem == ""
    shown = project.mmectl("metrics", "--by-model", "--top", "1").stdout.decode()
    assert [line.split()[:3] for line in shown.splitlines()[3:5]] == [
        ["shapes.tar.gz", "5", "1"],
        ["other", "3", "0"],
    ]
    course = project.data("metrics", "--model", "shapes", "--since", "30m", "--period", "1m")
    assert (course["target_model"], course["problems"]) == ("shapes.tar.gz", [])
    sums = {name: sum(v for _, v in points) for name, points in course["curves"].items()}
    assert sums["requests"] == pytest.approx(5, abs=0.1)
    assert (sums["errors"], sums["loads"]) == (pytest.approx(1, abs=0.1), 1)
    assert sums["p99"] > 0
    (instance,) = project.data("metrics", "--by-instance", "--since", "30m")["instances"]
    assert (instance["instance_id"], instance["Invocations_Sum"]) == (named, 8)


def test_alarms_a_dashboard_and_retention_of_the_log(project):
    on = ("--set", "alarms.defaults=true", "--set", "logs.retention_days=30")
    planned = project.data("plan", *on)["steps"]
    assert [step["action"] for step in planned] == [
        *["PutMetricAlarm"] * 7,
        "PutDashboard",
        "PutRetentionPolicy",
    ]
    project.mmectl("deploy", *on)
    assert project.data("plan", *on)["up_to_date"]
    cloudwatch = project.client("cloudwatch")
    found = cloudwatch.describe_alarms(AlarmNamePrefix="demo-AllTraffic-")["MetricAlarms"]
    assert len(found) == 7
    assert {alarm["StateValue"] for alarm in found} == {"OK"}  # judged when they were put
    tags = cloudwatch.list_tags_for_resource(ResourceARN=found[0]["AlarmArn"])["Tags"]
    assert {"Key": "mmectl:endpoint", "Value": "demo"} in tags
    body = json.loads(cloudwatch.get_dashboard(DashboardName="mmectl-demo")["DashboardBody"])
    assert len(body["widgets"]) == 7
    logs = project.client("logs")
    (group,) = logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/Endpoints/demo")[
        "logGroups"
    ]
    assert group["retentionInDays"] == 30
    os.kill(project.data("local", "status")["pid"], signal.SIGKILL)
    kept = {step["action"] for step in project.data("plan", *on)["steps"]}
    assert kept <= {"Wait"}  # for the endpoint, which comes back
    project.mmectl("deploy")
    assert cloudwatch.describe_alarms(AlarmNamePrefix="demo-")["MetricAlarms"] == []


def test_metrics_survive_a_kill(project):
    assert sums(project, "Sum", COUNTS) == COUNTS  # reading also writes
    os.kill(project.data("local", "status")["pid"], signal.SIGKILL)
    assert sums(project, "Sum", COUNTS) == COUNTS


def test_following_the_logs_goes_on_over_a_kill_and_ends_with_130(project):
    loaded = b"loaded shapes"
    lines: list[dict[str, Any]] = []
    shutil.copytree(project.root / "examples" / "images", project.folder / "examples" / "images")
    with subprocess.Popen(
        [BIN / "mmectl", "logs", "--follow", "--json", "--filter", '"loaded shapes"'],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as followed:

        def read() -> None:
            assert followed.stdout is not None
            lines.extend(json.loads(line) for line in followed.stdout)

        reader = threading.Thread(target=read)
        reader.start()
        os.kill(project.data("local", "status")["pid"], signal.SIGKILL)
        deadline = time.monotonic() + 60
        while len({line["stream"] for line in lines}) < 2 and time.monotonic() < deadline:
            project.mmectl("invoke", "-m", "shapes", "examples/images/star.jpg")
        followed.send_signal(signal.SIGINT)
        reader.join(30)
    assert followed.returncode == 130
    assert all(loaded.decode() in line["message"] for line in lines)
    assert len({line["stream"] for line in lines}) >= 2
    plain = project.mmectl("logs", "--tail", "1", "--filter", '"loaded shapes"').stdout
    assert plain.startswith(b"AllTraffic/i-")
    assert loaded in plain
    assert plain.count(b"\n") == 1
