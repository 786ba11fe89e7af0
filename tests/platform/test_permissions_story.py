"""Keys of users on the embedded platform: what their policies allow, and mmectl's own policies.

The whole story is played with a key that has the policy of `mmectl iam deployer` and no other, and
each call is recorded: what is not granted fails it, what is granted and not called has a reason.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from projects import Project, client_of_key, config_of, made, share_environments

from mmectl.app import App
from mmectl.aws.session import Aws
from mmectl.base.api_actions import actions_of
from mmectl.base.values import Credentials
from mmectl.cli import run
from mmectl.iam.grants import GRANTS
from mmectl.local.client import platform

VERSION = "2012-10-17"
STAR = "examples/images/star.jpg"


def key_of(project: Project, user: str, *documents: Any) -> Credentials:
    """The access key of a new user with these policies."""
    iam = project.client("iam")
    iam.create_user(UserName=user)
    for number, document in enumerate(documents):
        text = json.dumps(document)
        iam.put_user_policy(UserName=user, PolicyName=f"p{number}", PolicyDocument=text)
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"])


@pytest.fixture(scope="module")
def project(root: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    models = {name: root / "examples" / "models" / name for name in ("shapes", "digits")}
    settings = config_of(root, models)
    with made(root, settings) as project:
        shutil.copytree(root / "examples" / "images", project.folder / "examples" / "images")
        share_environments(project, request)
        before = Path.cwd()
        os.chdir(project.folder)
        try:
            yield project
        finally:
            os.chdir(before)


@pytest.fixture(scope="module")
def recorded(project: Project) -> set[str]:
    """The actions that the story needed; it is played under the deployer's policy alone."""
    policy = project.data("iam", "deployer")["document"]
    invoker = project.data("iam", "invoker")["document"]
    credentials = key_of(project, "deployer", policy, invoker)
    called: set[str] = set()

    def note(model: Any, **_: Any) -> None:
        called.update(actions_of(model.service_model.service_name, model.name))

    class Recorded(App):
        @cached_property
        def aws(self) -> Any:
            found = platform.find(project.state)
            assert found is not None
            aws = Aws(region=found.region, endpoint_url=found.endpoint_url, credentials=credentials)
            aws._inner.register("before-call", note)
            return aws

    for line in STORY:
        assert run(line.split(), Recorded) == 0, line
    return called


STORY = (
    "build",
    "upload --all",
    "doctor",
    "plan",
    "deploy",
    "status",
    f"invoke --target-model shapes {STAR}",
    "warm --all",
    "upload digits --copies 2 --to more/",
    "deploy --set endpoint.variant=Other --set aws.tags={'team':'vision'}",
    "metrics",
    "logs",
    "logs --since 1h --filter model",
    "models list --all --details",
    "models copy shapes other",
    "models remove other --yes",
    "gc --yes",
    "wait",
    "destroy --artifacts --yes",
)


def test_the_deployers_policy_is_enough_for_the_whole_story(recorded):
    assert {"sagemaker:CreateModel", "s3:PutObject", "s3:DeleteObject"} <= recorded


def test_whatever_is_called_is_granted_and_whatever_is_not_called_has_a_reason(recorded):
    granted = {grant.action for grant in GRANTS if grant.who in ("deployer", "invoker")}
    assert recorded <= granted
    silent = {
        f"{grant.who} {grant.action} on {grant.on}"
        for grant in GRANTS
        if grant.action not in recorded and not grant.why
    }
    assert silent == set()


TARGETS = ("tenant-a/shapes.tar.gz", "tenant-b/shapes.tar.gz")


@pytest.fixture(scope="module")
def served(project: Project, recorded: set[str]) -> Project:
    """One model for each of two tenants."""
    for tenant in ("tenant-a", "tenant-b"):
        project.mmectl("upload", "shapes", "--to", f"{tenant}/")
    project.mmectl("deploy")
    return project


def refused(client: Any, operation: str, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_tenants_key_reaches_its_own_models_alone(served):
    policy = served.data("iam", "invoker", "--folder", "tenant-a/")["document"]
    key = key_of(served, "tenant-a", policy)
    runtime = client_of_key(served, "sagemaker-runtime", key)
    body = (served.folder / STAR).read_bytes()
    ask = {"EndpointName": "demo", "Body": body, "ContentType": "image/jpeg"}
    answer = runtime.invoke_endpoint(TargetModel=TARGETS[0], **ask)
    assert b"star" in answer["Body"].read()
    code, text = refused(runtime, "invoke_endpoint", TargetModel=TARGETS[1], **ask)
    assert code == "AccessDeniedException"
    assert text == (
        "User: arn:aws:iam::123456789012:user/tenant-a is not authorized to perform: "
        "sagemaker:InvokeEndpoint on resource: "
        "arn:aws:sagemaker:us-east-1:123456789012:endpoint/demo because no identity-based policy "
        "allows the sagemaker:InvokeEndpoint action"
    )
    for target in ("shapes.tar.gz", "tenant-a", "/tenant-a/shapes.tar.gz"):
        assert refused(runtime, "invoke_endpoint", TargetModel=target, **ask)[0] == code
    assert refused(runtime, "invoke_endpoint", **ask)[0] == code  # no TargetModel at all


def test_a_key_may_what_its_policies_say_in_every_service(served):
    key = key_of(served, "nobody")
    arn = "arn:aws:iam::123456789012:user/nobody"
    assert client_of_key(served, "sts", key).get_caller_identity()["Arn"] == arn
    for service, operation, members, code in (
        ("sagemaker", "list_models", {}, "AccessDeniedException"),
        ("s3", "list_buckets", {}, "AccessDenied"),
        ("iam", "list_users", {}, "AccessDenied"),
        ("logs", "describe_log_groups", {}, "AccessDeniedException"),
        ("cloudwatch", "list_metrics", {}, "AccessDeniedException"),
        ("ecr", "describe_repositories", {}, "AccessDeniedException"),
    ):
        found = refused(client_of_key(served, service, key), operation, **members)
        assert found[0] == code
        assert f"User: {arn} is not authorized to perform: {service}:" in found[1]


def test_a_deny_wins_and_a_disabled_key_is_nobodys(served):
    everything = {
        "Version": VERSION,
        "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"},
    }
    but = {
        "Version": VERSION,
        "Statement": {
            "Effect": "Deny",
            "Action": "sagemaker:InvokeEndpoint",
            "Resource": "*",
            "Condition": {"StringLike": {"sagemaker:TargetModel": "tenant-b/*"}},
        },
    }
    key = key_of(served, "ops", everything, but)
    runtime = client_of_key(served, "sagemaker-runtime", key)
    ask = {"EndpointName": "demo", "Body": b"x", "TargetModel": TARGETS[1]}
    assert "with an explicit deny" in refused(runtime, "invoke_endpoint", **ask)[1]
    iam = served.client("iam")
    names = {"UserName": "ops", "AccessKeyId": key.access_key_id}
    iam.update_access_key(Status="Inactive", **names)
    assert refused(runtime, "invoke_endpoint", **ask)[0] == "UnrecognizedClientException"


def test_deleting_several_objects_is_judged_for_each(served):
    bucket = served.data("status")["location"].split("/")[2]
    s3 = served.client("s3")
    for name in ("mine", "theirs"):
        s3.put_object(Bucket=bucket, Key=name, Body=b"")
    mine = f"arn:aws:s3:::{bucket}/mine"
    own = {
        "Version": VERSION,
        "Statement": {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": mine},
    }
    theirs = client_of_key(served, "s3", key_of(served, "cleaner", own))
    objects = {"Objects": [{"Key": "mine"}, {"Key": "theirs"}]}
    answer = theirs.delete_objects(Bucket=bucket, Delete=objects)
    assert [one["Key"] for one in answer["Deleted"]] == ["mine"]
    assert [(one["Key"], one["Code"]) for one in answer["Errors"]] == [("theirs", "AccessDenied")]
    assert s3.head_object(Bucket=bucket, Key="theirs")["ContentLength"] == 0


def test_policies_can_be_simulated(served):
    iam = served.client("iam")
    role = "arn:aws:iam::123456789012:role/service-role/AmazonSageMaker-ExecutionRole-local"
    asked = {"ActionNames": ["s3:GetObject", "iam:CreateUser"], "ResourceArns": ["*"]}
    found = iam.simulate_principal_policy(PolicySourceArn=role, **asked)["EvaluationResults"]
    assert [one["EvalDecision"] for one in found] == ["allowed", "implicitDeny"]
    assert found[0]["EvalActionName"] == "s3:GetObject"
    nobody = {"PolicySourceArn": f"{role}-nobody", **asked}
    assert refused(iam, "simulate_principal_policy", **nobody)[0] == "NoSuchEntity"


IAM_ROLE = "AmazonSageMaker-ExecutionRole-local"
SAGEMAKER = {"Service": "sagemaker.amazonaws.com"}


def trust(effect: str) -> str:
    statement = {"Effect": effect, "Principal": SAGEMAKER, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def found(project: Project, check: str, code: int, *more: str) -> list[dict[str, Any]]:
    """The findings of a check that are not ok."""
    done = project.mmectl("doctor", "--json", *more, code=code)
    rows = json.loads(done.stdout)["data"]["checks"]
    return [row for row in rows if row["check"] == check and row["severity"] != "ok"]


def test_the_doctor_finds_a_role_that_is_denied_or_may_too_little(served):
    iam = served.client("iam")
    named = ("--set", f"aws.role={IAM_ROLE}")
    assert found(served, "role", 0, *named) == []
    iam.update_assume_role_policy(RoleName=IAM_ROLE, PolicyDocument=trust("Deny"))
    try:
        (row,) = found(served, "role", 1, *named)
        assert (row["severity"], row["code"]) == ("fail", "role_trust")
    finally:
        iam.update_assume_role_policy(RoleName=IAM_ROLE, PolicyDocument=trust("Allow"))
    iam.create_role(RoleName="poor", AssumeRolePolicyDocument=trust("Allow"))
    (row,) = found(served, "permissions", 1, "--set", "aws.role=poor")
    assert "the execution role may not" in row["what"]
    assert "ecr:BatchGetImage" in row["what"]
    (row,) = found(served, "role", 1, "--set", "aws.role=nobody")
    assert row["code"] == "no_role"


def test_the_doctor_finds_alarms_and_models_that_are_not_there(served):
    (row,) = found(served, "alarms", 1, "--set", "update.alarms=[none]")
    assert row["code"] == "no_alarm"
    (row,) = found(served, "models", 1, "--set", "bucket.prefix=empty/")
    assert row["code"] == "no_models"
