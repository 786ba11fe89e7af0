"""Identity, role and bucket, each call against botocore's own model of it."""

from __future__ import annotations

import datetime as dt
import io
import time
from types import SimpleNamespace

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    ConnectionClosedError,
    EndpointConnectionError,
    UnknownServiceError,
)
from botocore.session import Session
from botocore.stub import Stubber
from botocore.utils import parse_timestamp

from mmectl.aws.errors import translated
from mmectl.aws.retries import ATTEMPTS, give_up_early
from mmectl.aws.roles import trusts_sagemaker
from mmectl.aws.session import Aws, Storage, timestamp
from mmectl.base.errors import ServiceError
from mmectl.base.values import Credentials

TRUST = (
    '{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
    '"Principal":{"Service":"sagemaker.amazonaws.com"}}]}'
)


def role(name: str, *, day: int = 1, trust: str = TRUST) -> dict:
    return {
        "Path": "/",
        "RoleName": name,
        "RoleId": "AROA1234567890123456",
        "Arn": f"arn:aws:iam::123456789012:role/{name}",
        "CreateDate": dt.datetime(2024, 1, day, tzinfo=dt.timezone.utc),
        "AssumeRolePolicyDocument": trust,
    }


@pytest.mark.parametrize(
    ("trust", "trusted"),
    [
        (TRUST, True),
        (TRUST.replace("amazonaws.com", "amazonaws.com.cn"), True),
        (TRUST.replace("Allow", "Deny"), False),
        (TRUST.replace("sts:AssumeRole", "sts:TagSession"), False),
        (TRUST.replace('"Service"', '"AWS"'), False),
    ],
)
def test_a_role_is_trusted_where_a_statement_allows_it(trust, trusted):
    assert trusts_sagemaker(role("a", trust=trust)) is trusted


def test_identity_is_of_sts_which_is_asked_once(aws, stub):
    stub("sts").add_response(
        "get_caller_identity",
        {"Account": "123456789012", "Arn": "arn:aws:sts::123456789012:x", "UserId": "A"},
        {},
    )
    found = aws.identity()
    assert (found.account, found.region) == ("123456789012", "eu-central-1")
    assert aws.identity() is found


def test_role_is_the_one_that_sagemaker_may_assume_over_all_pages(aws, stub):
    first = {
        "Roles": [
            role("AmazonSageMaker-ExecutionRole-b", day=9, trust="{}"),
            role("Other", day=9),
        ],
        "IsTruncated": True,
        "Marker": "m",
    }
    stub("iam").add_response("list_roles", first, {})
    second = {"Roles": [role("AmazonSageMaker-ExecutionRole-c", day=5)], "IsTruncated": False}
    stub("iam").add_response("list_roles", second, {"Marker": "m"})
    assert aws.role(None).endswith("AmazonSageMaker-ExecutionRole-c")


def test_several_roles_are_a_question(aws, stub):
    """A notebook's role that somebody makes must not become that of an endpoint."""
    roles = [
        role(f"AmazonSageMaker-ExecutionRole-{name}", day=day)
        for name, day in (("a3", 3), ("c9", 9))
    ]
    stub("iam").add_response("list_roles", {"Roles": roles, "IsTruncated": False}, {})
    with pytest.raises(ServiceError, match=r"2 IAM roles .*-c9, .*-a3") as caught:
        aws.role(None)
    assert caught.value.hint.endswith("aws.role: AmazonSageMaker-ExecutionRole-c9")
    assert caught.value.code == "several_roles"


def test_no_role_says_how_to_make_one(aws, stub):
    stub("iam").add_response("list_roles", {"Roles": [], "IsTruncated": False}, {})
    with pytest.raises(ServiceError) as caught:
        aws.role(None)
    assert "aws iam create-role" in caught.value.hint
    assert caught.value.code == "no_role"


def test_role_by_name_and_by_arn(aws, stub):
    stub("iam").add_response("get_role", {"Role": role("mine")}, {"RoleName": "mine"})
    assert aws.role("mine") == "arn:aws:iam::123456789012:role/mine"
    assert aws.role("arn:aws:iam::1:role/x") == "arn:aws:iam::1:role/x"


def test_refusals_name_the_permission(aws, stub):
    stub("iam").add_client_error("list_roles", "AccessDenied", "not authorized", 403)
    with pytest.raises(ServiceError) as caught:
        aws.role(None)
    assert caught.value.message == "iam:ListRoles: not authorized"
    assert caught.value.hint.startswith("the caller needs the permission for: iam:ListRoles; ")
    assert caught.value.code == "aws_AccessDenied"


def test_bucket_name_is_sagemakers_default(aws, stub):
    stub("sts").add_response(
        "get_caller_identity", {"Account": "123456789012", "Arn": "x" * 20, "UserId": "A"}, {}
    )
    assert aws.bucket_name(None) == "sagemaker-eu-central-1-123456789012"
    assert aws.bucket_name("mine") == "mine"


def test_missing_bucket_is_made_in_the_region(aws, stub):
    s3 = stub("s3")
    s3.add_client_error("head_bucket", "404", "Not Found", 404)
    s3.add_response(
        "create_bucket",
        {},
        {
            "Bucket": "b",
            "CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"},
        },
    )
    rule = {
        "ID": "mmectl-unfinished-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    s3.add_response(
        "put_bucket_lifecycle_configuration",
        {},
        {"Bucket": "b", "LifecycleConfiguration": {"Rules": [rule]}},
    )
    assert aws.ensure_bucket("b") is True


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_bucket_is_created_with_the_configured_tags(region):
    aws = Aws(
        region=region,
        endpoint_url="http://127.0.0.1:9",
        credentials=Credentials("AKIDEXAMPLE", "secret"),
        storage=Storage(tags={"team": "vision"}),
    )
    wanted = {"Tags": [{"Key": "team", "Value": "vision"}]}
    if region != "us-east-1":
        wanted["LocationConstraint"] = region
    with Stubber(aws.client("s3")) as s3:
        s3.add_client_error("head_bucket", "404", "Not Found", 404)
        s3.add_response("create_bucket", {}, {"Bucket": "b", "CreateBucketConfiguration": wanted})
        s3.add_client_error("put_bucket_lifecycle_configuration", "AccessDenied", "no", 403)
        assert aws.ensure_bucket("b") is True


def test_writes_into_other_buckets_name_no_key():
    aws = Aws(
        region="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        credentials=Credentials("AKIDEXAMPLE", "secret"),
        storage=Storage(bucket="ours", kms_key="alias/ours"),
    )
    s3, sent = aws.client("s3"), {}

    def note(params, **_):
        sent.update(params["headers"])
        return AWSResponse("http://127.0.0.1:9", 200, {}, io.BytesIO()), {"ETag": "e"}

    s3.meta.events.register("before-call.s3.PutObject", note)
    for bucket, key in (("ours", "alias/ours"), ("theirs", None)):
        sent.clear()
        s3.put_object(Bucket=bucket, Key="k", Body=b"1")
        assert sent.get("x-amz-server-side-encryption-aws-kms-key-id") == key


def test_a_bucket_is_used_although_its_rules_may_not_be_set(aws, stub):
    s3 = stub("s3")
    s3.add_client_error("head_bucket", "404", "Not Found", 404)
    s3.add_response("create_bucket", {}, None)
    s3.add_client_error("put_bucket_lifecycle_configuration", "AccessDenied", "no", 403)
    assert aws.ensure_bucket("b") is True


def test_a_bucket_of_a_guessable_name_must_be_our_own(aws, stub):
    name = "sagemaker-eu-central-1-123456789012"
    who = {"Account": "123456789012", "Arn": "x" * 20, "UserId": "A"}
    stub("sts").add_response("get_caller_identity", who, {})
    stub("s3").add_response(
        "head_bucket",
        {"ResponseMetadata": {"HTTPHeaders": {}}},
        {"Bucket": name, "ExpectedBucketOwner": "123456789012"},
    )
    assert aws.bucket_exists(name) is True


def test_a_colleague_may_make_the_bucket_at_the_same_time(aws, stub):
    stub("s3").add_client_error("head_bucket", "404", "Not Found", 404)
    stub("s3").add_client_error("create_bucket", "BucketAlreadyOwnedByYou", "yours", 409)
    assert aws.ensure_bucket("b") is False


def test_looking_makes_no_bucket(aws, stub):
    stub("s3").add_client_error("head_bucket", "404", "Not Found", 404)
    assert aws.bucket_exists("b") is False


def test_the_users_configuration_has_no_say_on_the_embedded_platform(tmp_path, monkeypatch):
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n  use_accelerate_endpoint = true\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    local = Aws(
        region="eu-central-1",
        endpoint_url="http://127.0.0.1:9",
        credentials=Credentials("AKIDEXAMPLE", "secret"),
    )
    client = local.client("s3")
    assert client.meta.config.proxies == {}
    assert "use_accelerate_endpoint" not in (client.meta.config.s3 or {})


def test_foreign_bucket_is_refused(aws, stub):
    stub("s3").add_client_error("head_bucket", "403", "Forbidden", 403)
    with pytest.raises(ServiceError, match="bucket b may not be looked at") as caught:
        aws.ensure_bucket("b")
    assert caught.value.code == "bucket_forbidden"
    assert "arn:aws:s3:::b" in caught.value.hint


def test_a_bucket_that_s3_cannot_tell_of_now_is_no_foreign_one(aws, stub):
    stub("s3").add_client_error("head_bucket", "503", "Service Unavailable", 503)
    with pytest.raises(ServiceError, match="s3:HeadBucket b") as caught:
        aws.bucket_exists("b")
    assert (caught.value.code, caught.value.hint) == ("aws_503", None)


def test_who_may_not_tag_a_new_bucket_is_told_the_permission():
    aws = Aws(
        region="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        credentials=Credentials("AKIDEXAMPLE", "secret"),
        storage=Storage(tags={"team": "a"}),
    )
    with Stubber(aws.client("s3")) as s3:
        s3.add_client_error("head_bucket", "404", "Not Found", 404)
        s3.add_client_error("create_bucket", "AccessDenied", "Access Denied", 403)
        with pytest.raises(ServiceError) as caught:
            aws.ensure_bucket("b")
    assert "for: s3:CreateBucket b with aws.tags (s3:TagResource);" in caught.value.hint


def raised(error: Exception, attempts: int, name: str = "CreateModel") -> bool:
    operation = SimpleNamespace(name=name)
    try:
        give_up_early(operation, attempts=attempts, caught_exception=error, response=None)
    except type(error):
        return True
    return False


def test_throttles_are_waited_for_longer_than_what_cannot_be_reached(aws):
    config = aws.client("sagemaker").meta.config.retries
    assert config == {"mode": "standard", "total_max_attempts": ATTEMPTS}
    nobody = EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
    assert [raised(nobody, count) for count in (1, 2, 3)] == [False, False, True]
    closed = ConnectionClosedError(endpoint_url="http://127.0.0.1:9")
    assert not raised(closed, ATTEMPTS - 1)
    assert raised(closed, 1, "UpdateEndpoint")  # it may have been accepted
    give_up_early(SimpleNamespace(name="UpdateEndpoint"), ATTEMPTS, None)


def test_nobody_who_is_there_is_asked_three_times(aws):
    started = time.monotonic()
    with pytest.raises(ServiceError) as caught, translated("sts:GetCallerIdentity"):
        aws.client("sts").get_caller_identity()
    assert caught.value.code == "unreachable"
    assert time.monotonic() - started < 10


def test_bucket_of_another_region_is_named(aws, stub):
    stub("s3").add_response(
        "head_bucket",
        {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "us-west-2"}}},
        {"Bucket": "b"},
    )
    with pytest.raises(ServiceError) as caught:
        aws.ensure_bucket("b")
    assert caught.value.hint.startswith("set aws.region: us-west-2")


def test_own_bucket_is_left_alone(aws, stub):
    stub("s3").add_response(
        "head_bucket",
        {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "eu-central-1"}}},
        {"Bucket": "b"},
    )
    assert aws.ensure_bucket("b") is False


def test_unknown_profile_is_named():
    with pytest.raises(ServiceError, match=r"aws\.profile: .*nobody"):
        Aws(region="us-east-1", profile="nobody")


def test_a_client_is_made_without_a_look_at_the_files_of_every_service(aws, monkeypatch):
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    looked: list[str] = []
    loader = aws._inner.get_component("data_loader")
    exists = loader.file_loader.exists

    def look(path: str) -> bool:
        looked.append(path)
        return exists(path)

    loader.file_loader.exists = look
    assert aws.client("sagemaker").can_paginate("list_models")
    assert 0 < len(looked) < 50
    assert set(loader.list_available_services("service-2")) == set(
        Session().get_component("data_loader").list_available_services("service-2")
    )
    assert aws._inner.get_available_services() == Session().get_available_services()
    assert not aws.client("pinpoint").can_paginate("get_apps")  # which has no file of pages
    with pytest.raises(UnknownServiceError, match="'sagemakers'"):
        loader.load_service_model("sagemakers", "service-2")


def test_unreachable_service_is_named(aws):
    with pytest.raises(ServiceError) as caught:
        aws.identity()
    assert caught.value.code == "unreachable"


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-29T12:00:00.000Z",
        "2024-02-29T12:00:00Z",
        "2024-02-29T12:00:00.123456Z",
        "2024-02-29T12:00:00.1Z",
        "2024-02-29T12:00:00+02:00",
        "Thu, 29 Feb 2024 12:00:00 GMT",
        1709208000,
    ],
)
def test_times_are_those_of_botocore(text):
    assert timestamp(text) == parse_timestamp(text)
    assert timestamp(text).tzinfo is not None
