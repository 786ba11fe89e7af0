"""What `mmectl doctor` asks of AWS, by botocore's model of it; and how it says what it found."""

from __future__ import annotations

import json
from email.utils import formatdate
from typing import Any

import pytest
from fakes.cli import call, result, world

from mmectl.aws.looks import Looks
from mmectl.aws.pricing import hourly
from mmectl.base.errors import ServiceError
from mmectl.doctor.values import Quota, Subnet

__all__ = ["call", "world"]

NOW = 1_750_000_000.0
DATE = "Sun, 15 Jun 2025 15:08:20 GMT"  # 100 s later
ANN = "arn:aws:iam::123456789012:user/ann"
ROLE: dict[str, Any] = {
    "Path": "/service-role/",
    "RoleName": "mme",
    "RoleId": "AROAEXAMPLEEXAMPLE",
    "Arn": "arn:aws:iam::123456789012:role/service-role/mme",
    "CreateDate": NOW,
    "AssumeRolePolicyDocument": "{}",
}


def looks(aws: Any, role: str | None = "mme") -> Looks:
    return Looks(aws, lambda: role, now=lambda: NOW)


def says_who(stub: Any, arn: str = ANN, date: str = DATE) -> None:
    who = {"Account": "123456789012", "Arn": arn, "UserId": "AIDA"}
    metadata = {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}
    stub("sts").add_response("get_caller_identity", {**who, **metadata})


def test_identity_and_clock_come_with_one_answer(aws, stub):
    says_who(stub)
    account = looks(aws)
    assert account.identity().arn == ANN
    assert account.clock() == 100


def test_the_role_is_described_once(aws, stub):
    stub("iam").add_response("get_role", {"Role": dict(ROLE)}, {"RoleName": "mme"})
    stub("iam").add_response("get_role", {"Role": dict(ROLE)}, {"RoleName": "mme"})
    account = looks(aws)
    assert account.role()["RoleName"] == account.role()["RoleName"] == "mme"


def test_a_role_that_is_not_there(aws, stub):
    stub("iam").add_client_error("get_role", "NoSuchEntity", "The role cannot be found.", 404)
    assert looks(aws).role() is None
    stub("iam").add_client_error("get_role", "AccessDenied", "no", 403)
    with pytest.raises(ServiceError) as caught:
        looks(aws).role()
    assert caught.value.code == "aws_AccessDenied"


@pytest.mark.parametrize(
    ("arn", "caller"),
    [
        (ANN, ANN),
        ("arn:aws:iam::123456789012:root", None),
        ("arn:aws:sts::123456789012:assumed-role/mme/session", ROLE["Arn"]),
    ],
)
def test_whose_policies_are_the_callers(aws, stub, arn, caller):
    says_who(stub, arn)
    if "assumed" in arn:
        stub("iam").add_response("get_role", {"Role": dict(ROLE)}, {"RoleName": "mme"})
    assert looks(aws).caller() == caller


def test_the_path_of_an_assumed_role_that_nobody_tells(aws, stub):
    says_who(stub, "arn:aws:sts::123456789012:assumed-role/mme/session")
    stub("iam").add_client_error("get_role", "AccessDenied", "no", 403)
    assert looks(aws).caller() == "arn:aws:iam::123456789012:role/mme"


def test_simulation(aws, stub):
    rows = [
        {"EvalActionName": "s3:GetObject", "EvalResourceName": "*", "EvalDecision": "allowed"},
        {"EvalActionName": "s3:PutObject", "EvalResourceName": "*", "EvalDecision": "explicitDeny"},
    ]
    context = {"ContextKeyName": "aws:key", "ContextKeyValues": ["c"], "ContextKeyType": "string"}
    stub("iam").add_response(
        "simulate_principal_policy",
        {"EvaluationResults": rows, "IsTruncated": False},
        {
            "PolicySourceArn": ROLE["Arn"],
            "ActionNames": ["s3:GetObject", "s3:PutObject"],
            "ResourceArns": ["*"],
            "ContextEntries": [context],
        },
    )
    said = looks(aws).simulate(
        ROLE["Arn"], ["s3:GetObject", "s3:PutObject"], ["*"], {"aws:key": ["c"]}
    )
    assert said == {("s3:GetObject", "*"): "allowed", ("s3:PutObject", "*"): "explicitDeny"}


ENCRYPTED = {
    "ServerSideEncryptionConfiguration": {
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
    }
}
HEADERS = {"ResponseMetadata": {"HTTPHeaders": {}}}


def test_a_bucket_with_all_that_is_to_be_known(aws, stub):
    s3 = stub("s3")
    s3.add_response("head_bucket", HEADERS, {"Bucket": "b"})
    s3.add_response("get_bucket_encryption", ENCRYPTED, {"Bucket": "b"})
    s3.add_response("get_bucket_policy", {"Policy": '{"Statement": []}'}, {"Bucket": "b"})
    says_who(stub)
    s3.add_response("head_bucket", HEADERS, {"Bucket": "b", "ExpectedBucketOwner": "123456789012"})
    found = looks(aws).bucket("b")
    assert (found.exists, found.encryption, found.unknown, found.foreign) == (
        True,
        "aws:kms",
        (),
        False,
    )
    assert json.loads(str(found.policy)) == {"Statement": []}


def test_a_bucket_of_another_account_that_tells_little(aws, stub):
    s3 = stub("s3")
    s3.add_response("head_bucket", HEADERS, {"Bucket": "b"})
    s3.add_client_error("get_bucket_encryption", "AccessDenied", "no", 403)
    s3.add_client_error("get_bucket_policy", "NoSuchBucketPolicy", "none", 404)
    says_who(stub)
    s3.add_client_error("head_bucket", "403", "Forbidden", 403)
    found = looks(aws).bucket("b")
    assert (found.policy, found.unknown, found.foreign) == (None, ("its encryption",), True)


def quota_row(name: str, value: float, **more: Any) -> dict[str, Any]:
    return {"QuotaName": name, "Value": value, "ServiceCode": "sagemaker", **more}


METRIC = {
    "MetricNamespace": "AWS/Usage",
    "MetricName": "ResourceCount",
    "MetricDimensions": {"Resource": "endpoint/ml.m5.xlarge", "Service": "SageMaker"},
}
NAME = "ml.m5.xlarge for endpoint usage"


def test_a_quota_is_found_on_a_later_page_with_what_is_used_of_it(aws, stub):
    quotas = stub("service-quotas")
    other = [quota_row("ml.m5.xlarge for training job usage", 9)]
    quotas.add_response(
        "list_service_quotas", {"Quotas": other, "NextToken": "t"}, {"ServiceCode": "sagemaker"}
    )
    row = quota_row(NAME, 4, UsageMetric=METRIC)
    asked = {"ServiceCode": "sagemaker", "NextToken": "t"}
    quotas.add_response("list_service_quotas", {"Quotas": [row]}, asked)
    values = {"Id": "used", "Timestamps": [NOW], "Values": [3.0]}
    stub("cloudwatch").add_response("get_metric_data", {"MetricDataResults": [values]})
    assert looks(aws).quota(NAME) == Quota(4.0, 3.0)


def test_a_quota_whose_use_nobody_counts(aws, stub):
    quotas = stub("service-quotas")
    for rows in ([quota_row(NAME, 4)], [quota_row(NAME, 4, UsageMetric=METRIC)], []):
        quotas.add_response("list_service_quotas", {"Quotas": rows})
    stub("cloudwatch").add_client_error("get_metric_data", "AccessDenied", "no", 403)
    assert looks(aws).quota(NAME) == Quota(4.0, None)
    assert looks(aws).quota(NAME) == Quota(4.0, None)
    assert looks(aws).quota(NAME) is None


def product(*prices: str, currency: str = "USD") -> str:
    rows = {
        str(n): {"unit": "Hrs", "pricePerUnit": {currency: price}} for n, price in enumerate(prices)
    }
    return json.dumps({"terms": {"OnDemand": {"a": {"priceDimensions": rows}}}})


def priced(aws: Any, *pages: list[str]) -> Any:
    """The Price List's client, which is another region's, with these answers."""
    from botocore.stub import Stubber

    stubber = Stubber(aws.client("pricing", region="us-east-1"))
    for page in pages:
        stubber.add_response("get_products", {"PriceList": page})
    stubber.activate()
    return stubber


def test_the_price_of_an_instance(aws):
    stubber = priced(aws, [product("0.0000000000", "0.2690000000")])
    assert hourly(aws, "ml.m5.xlarge") == 0.269
    stubber.assert_no_pending_responses()


def test_what_the_price_list_does_not_name_is_not_sold(aws):
    priced(aws, [product("0.2")], [], [product("0.1")], [], [])
    account = looks(aws)
    assert account.offered("ml.m5.xlarge") is True
    assert account.offered("ml.zz.large") is False
    assert account.offered("ml.zz.large") is None


def test_subnets_and_the_way_to_s3(aws, stub):
    row = {
        "SubnetId": "s-1",
        "AvailabilityZone": "eu-central-1a",
        "VpcId": "vpc-1",
        "AvailableIpAddressCount": 7,
    }
    ec2 = stub("ec2")
    asked = {"Filters": [{"Name": "subnet-id", "Values": ["s-1", "s-2"]}]}
    ec2.add_response("describe_subnets", {"Subnets": [row]}, asked)
    account = looks(aws)
    assert account.subnets(["s-1", "s-2"]) == [Subnet("s-1", "eu-central-1a", "vpc-1", 7)]
    for state, reaches in (("available", True), ("deleting", False)):
        ec2.add_response("describe_vpc_endpoints", {"VpcEndpoints": [{"State": state}]})
        assert account.reaches_s3("vpc-1") is reaches


def test_alarms_of_both_kinds(aws, stub):
    answer = {
        "MetricAlarms": [{"AlarmName": "a", "StateValue": "ALARM"}],
        "CompositeAlarms": [{"AlarmName": "b", "StateValue": "OK"}],
    }
    asked = {"AlarmNames": ["a", "b", "c"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
    stub("cloudwatch").add_response("describe_alarms", answer, asked)
    assert looks(aws).alarms(["a", "b", "c"]) == {"a": "ALARM", "b": "OK"}


@pytest.fixture
def account(world, aws, stub):
    """Everything answers but what nobody may look at."""
    says_who(stub, date=formatdate(usegmt=True))
    stub("iam").add_client_error("get_role", "AccessDenied", "no", 403)
    for _ in range(2):
        stub("iam").add_client_error("simulate_principal_policy", "AccessDenied", "no", 403)
    quotas = {"Quotas": [quota_row(NAME, 1)]}
    stub("service-quotas").add_response("list_service_quotas", quotas)
    priced(aws, [product("0.2")])
    s3 = world.aws.s3
    s3.get_bucket_encryption = lambda **_: ENCRYPTED
    s3.get_bucket_policy = lambda **_: {"Policy": "{}"}
    s3.head_bucket = lambda **_: HEADERS

    def client(service: str, region: str | None = None) -> Any:
        return s3 if service == "s3" else aws.client(service, region=region)

    world.aws.client = client
    return world


def test_transcript(call, account):
    code, out, _ = call("doctor", "--set", "endpoint.instance_count=1")
    lines = out.splitlines()
    assert code == 0, out
    assert max(len(line) for line in lines if "next:" not in line) <= 80
    assert lines[0] == f"ok    identity      {ANN}, account 123456789012"
    assert "warn  quota         ml.m5.xlarge for endpoint usage: 1, of which 0 are in use" in out
    assert "warn  role          not checked, AWS does not let us look: iam:GetRole found: no" in out
    assert "next: grant it, see: mmectl iam deployer" in out
    assert lines[-1].endswith("to look at, 0 failed")


def test_a_failure_is_exit_code_1_and_one_envelope(call, account):
    code, out, _ = call("doctor", "--set", "endpoint.instance_count=2", "--json")
    envelope = result(out)
    assert (code, envelope["exit_code"], envelope["data"]["fail"]) == (1, 1, 1)
    (failed,) = [row for row in envelope["data"]["checks"] if row["severity"] == "fail"]
    assert (failed["check"], failed["code"]) == ("quota", "quota")
    assert set(failed) == {"check", "severity", "what", "why", "fix", "code"}
