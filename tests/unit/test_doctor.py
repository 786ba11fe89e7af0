"""Every check of `mmectl doctor`: what it finds well, and each way in which it fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from mmectl.base.errors import BuildError, DeployError, ServiceError
from mmectl.base.values import Identity, Location
from mmectl.doctor import checks, fit, models, quota
from mmectl.doctor.checks import CHECKS, examine, findings, require
from mmectl.doctor.values import (
    Account,
    Bucket,
    ImageFacts,
    ModelSizes,
    Quota,
    Subject,
    Subnet,
    Wanted,
    fail,
    ok,
    warn,
)
from mmectl.iam.policy import Names
from mmectl.spec.policy import Policy

ROLE = "arn:aws:iam::123456789012:role/mme"
CALLER = "arn:aws:iam::123456789012:user/ann"
LOCATION = Location("models", "demo/")
DENIED = ServiceError("iam:GetRole: no", code="aws_AccessDenied")


def trust(effect: str = "Allow", service: str = "sagemaker.amazonaws.com") -> dict[str, Any]:
    statement = {"Effect": effect, "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"RoleName": "mme", "Arn": ROLE, "AssumeRolePolicyDocument": {"Statement": statement}}


class Fine:
    """An account in which everything is as it should be; tests change what it says."""

    def __init__(self, **says: Any) -> None:
        self.says = {
            "identity": Identity("123456789012", "arn:aws:iam::123456789012:user/ann", "r"),
            "clock": 0.4,
            "role": trust(),
            "caller": CALLER,
            "refused": (),
            "bucket": Bucket(True, "AES256"),
            "quota": Quota(20, 2),
            "offered": True,
            "subnets": [Subnet("s-1", "a", "vpc", 99), Subnet("s-2", "b", "vpc", 99)],
            "reaches_s3": True,
            "alarms": {"errors": "OK"},
            **says,
        }
        self.simulated: list[tuple[str, Any]] = []

    def _say(self, name: str) -> Any:
        said = self.says[name]
        if isinstance(said, ServiceError):
            raise said
        return said

    def identity(self) -> Identity:
        return self._say("identity")

    def clock(self) -> float:
        return self._say("clock")

    def role(self) -> Mapping[str, Any] | None:
        return self._say("role")

    def caller(self) -> str | None:
        return self._say("caller")

    def simulate(
        self, arn: str, actions: Sequence[str], resources: Sequence[str], context: Any
    ) -> Mapping[tuple[str, str], str]:
        self.simulated.append((arn, (tuple(actions), tuple(resources), dict(context))))
        refused = self._say("refused")
        return {
            (action, resource): "implicitDeny" if action in refused else "allowed"
            for action in actions
            for resource in resources
        }

    def bucket(self, name: str) -> Bucket:
        return self._say("bucket")

    def quota(self, name: str) -> Quota | None:
        return self._say("quota")

    def offered(self, instance_type: str) -> bool | None:
        return self._say("offered")

    def subnets(self, names: Sequence[str]) -> Sequence[Subnet]:
        return self._say("subnets")

    def reaches_s3(self, vpc: str) -> bool:
        return self._say("reaches_s3")

    def alarms(self, names: Sequence[str]) -> Mapping[str, str]:
        return self._say("alarms")


_account: type[Account] = Fine
WANTED = Wanted(
    region="eu-central-1",
    endpoint="demo",
    location=LOCATION,
    instance_type="ml.m5.xlarge",
    instance_count=2,
    policy=Policy(alarms=("errors",)),
    subnets=("s-1", "s-2"),
)
NAMES = Names("eu-central-1", "123456789012", "demo", LOCATION, role=ROLE)


def subject(
    says: Mapping[str, Any] | None = None, *, local: bool = False, **changes: Any
) -> Subject:
    of_wanted = {f.name for f in dataclasses.fields(Wanted)} & set(changes)
    wanted = dataclasses.replace(WANTED, **{name: changes.pop(name) for name in of_wanted})
    usual: dict[str, Any] = {
        "names": NAMES,
        "image": ImageFacts("image@sha256:1", user="", size=10**8),
        "running": 2,
        "has_models": True,
        "sizes": ModelSizes({"a.tar.gz": 10**8, "b.tar.gz": 10**7}, {"b.tar.gz": 3 * 10**7}),
        "unserved": (),
        **changes,
    }

    def answer(value: Any) -> Any:
        def give() -> Any:
            if isinstance(value, Exception):
                raise value
            return value

        return give

    return Subject(
        wanted, Fine(**(says or {})), local, **{name: answer(v) for name, v in usual.items()}
    )


def found(check: str, one: Subject) -> list[tuple[str, str]]:
    (look,) = [each.look for each in CHECKS if each.name == check]
    return [(f.severity, f"{f.what} | {f.why} | {f.fix}") for f in findings(look, one)]


def test_everything_is_fine():
    made = list(examine(subject()))
    assert [one.check for one in made] == [check.name for check in CHECKS]
    assert {f.severity for one in made for f in one.findings} == {"ok"}


def test_the_embedded_platform_leaves_out_what_it_has_no_part_in():
    skipped = {check.name for check in CHECKS} - {one.check for one in examine(subject(local=True))}
    assert skipped == {"quota", "offered", "network"}


BIG = ModelSizes({"huge.tar.gz": 40 * 10**9}, {})
MANY = ModelSizes({f"m{n}.tar.gz": 10**9 for n in range(40)}, {})


@pytest.mark.parametrize(
    ("check", "says", "changes", "severity", "text"),
    [
        ("identity", {"identity": ServiceError("no AWS credentials found", hint="aws configure")}, {}, "fail", "aws configure"),  # noqa: E501
        ("identity", {"identity": Identity("1", "arn:aws:iam::1:root", "r")}, {}, "warn", "root"),
        ("partition", {"identity": Identity("1", "arn:aws-cn:iam::1:user/a", "r")}, {}, "fail", "partition aws, the credentials are of aws-cn"),  # noqa: E501
        ("clock", {"clock": 400.0}, {}, "fail", "400 s behind AWS's"),
        ("clock", {"clock": -60.0}, {}, "warn", "60 s ahead of AWS's"),
        ("role", {"role": None}, {}, "fail", "aws iam create-role"),
        ("role", {"role": trust("Deny")}, {}, "fail", "a statement denies it"),
        ("role", {"role": trust(service="ec2.amazonaws.com")}, {}, "fail", "no statement allows"),
        ("role", {"role": DENIED}, {}, "warn", "not checked, AWS does not let us look"),
        ("permissions", {"refused": ("s3:GetObject",)}, {}, "fail", "execution role may not s3:GetObject"),  # noqa: E501
        ("permissions", {"refused": ("iam:PassRole",)}, {}, "fail", "caller may not iam:PassRole"),
        ("permissions", {"refused": ("logs:DescribeLogGroups",)}, {}, "warn", "caller may not logs:DescribeLogGroups"),  # noqa: E501
        ("permissions", {"refused": DENIED}, {}, "warn", "grant iam:SimulatePrincipalPolicy"),
        ("bucket", {"bucket": Bucket(False)}, {}, "warn", "mmectl upload --all"),
        ("bucket", {"bucket": Bucket(True, unknown=("its policy",))}, {}, "warn", "its policy is not known"),  # noqa: E501
        ("bucket", {"bucket": Bucket(True, foreign=True)}, {}, "warn", "another account's"),
        ("bucket", {"bucket": ServiceError("b is in us-east-2", code="bucket_region")}, {}, "fail", "b is in us-east-2"),  # noqa: E501
        ("quota", {"quota": None}, {}, "fail", "has no quota 'ml.m5.xlarge for endpoint usage'"),
        ("quota", {"quota": Quota(1, 0)}, {"running": 0}, "fail", "ResourceLimitExceeded"),
        ("quota", {"quota": Quota(3, 2)}, {}, "warn", "an update by all_at_once needs 4 at once"),
        ("quota", {"quota": Quota(9, 9)}, {"running": 0}, "fail", "of which 9 are in use"),
        ("offered", {"offered": False}, {}, "fail", "does not have ml.m5.xlarge"),
        ("offered", {"offered": None}, {}, "warn", "is not known"),
        ("image", {}, {"image": BuildError("not built", hint="mmectl build")}, "fail", "mmectl build"),  # noqa: E501
        ("image", {}, {"image": ImageFacts("i", ("the label x is missing",))}, "fail", "the label x"),  # noqa: E501
        ("image", {}, {"image": ImageFacts("i", user="1000:1000")}, "warn", "as user 1000:1000"),
        ("image", {}, {"image": ImageFacts("i", user="", size=11 << 30)}, "fail", "11.8 GB"),
        ("image", {}, {"image": ImageFacts("i")}, "warn", "cannot be read"),
        ("network", {"subnets": [Subnet("s-1", "a", "vpc", 99)]}, {}, "fail", "there is no subnet s-2"),  # noqa: E501
        ("network", {"subnets": [Subnet("s-1", "a", "v", 99), Subnet("s-2", "a", "v", 99)]}, {}, "fail", "two availability zones"),  # noqa: E501
        ("network", {"subnets": [Subnet("s-1", "a", "v", 99), Subnet("s-2", "b", "w", 99)]}, {}, "fail", "several VPCs"),  # noqa: E501
        ("network", {"subnets": [Subnet("s-1", "a", "v", 1), Subnet("s-2", "b", "v", 99)]}, {}, "warn", "s-1 has 1 free"),  # noqa: E501
        ("network", {"reaches_s3": False}, {}, "warn", "aws ec2 create-vpc-endpoint"),
        ("alarms", {"alarms": {}}, {}, "fail", "no such CloudWatch alarm: errors"),
        ("alarms", {"alarms": {"errors": "ALARM"}}, {}, "warn", "in alarm now: errors"),
        ("models", {}, {"has_models": False}, "fail", "mmectl upload --all"),
        ("served", {}, {"unserved": ("2 models of xgboost would not load\n  next: fix it",)}, "warn", "fix it"),  # noqa: E501
        ("served", {}, {"unserved": BuildError("not built")}, "warn", "there is no image"),
        ("fit", {}, {"sizes": BIG}, "fail", "huge.tar.gz takes 57.2 GB of memory"),
        ("fit", {}, {"sizes": MANY}, "warn", "40 models take 57.2 GB of memory"),
        ("fit", {}, {"sizes": BIG}, "fail", "set endpoint.volume_size_gb"),
        ("fit", {}, {"sizes": ModelSizes({}, {})}, "warn", "no models are uploaded"),
        ("fit", {}, {"instance_type": "ml.zz9.large"}, "warn", "is not known"),
        ("tags", {}, {"tags": 48}, "fail", "has 48, must be at most 47"),
    ],
)  # fmt: skip
def test_each_way_to_fail(check, says, changes, severity, text):
    rows = found(check, subject(says, **changes))
    assert any(row[0] == severity and text in row[1] for row in rows), rows


def test_what_cannot_be_looked_at_is_never_ok():
    names = ("role", "bucket", "quota", "offered", "subnets", "reaches_s3", "alarms", "refused")
    checked = ("role", "bucket", "quota", "offered", "network", "network", "alarms", "permissions")
    for name, check in zip(names, checked, strict=True):
        rows = found(check, subject({name: DENIED}))
        assert {row[0] for row in rows} == {"warn"}, check


DENY = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "*"}


@pytest.mark.parametrize(
    ("condition", "refused"),
    [
        ({"Null": {"s3:x-amz-server-side-encryption": "true"}}, True),
        ({"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}, True),
        ({"StringNotLikeIfExists": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "k"}}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, False),
    ],
)
def test_a_policy_that_wants_encryption_is_found(condition, refused):
    policy = {"Statement": {**DENY, "Condition": condition}}
    rows = found("bucket", subject({"bucket": Bucket(True, "AES256", policy)}))
    assert [row[0] for row in rows] == ["fail" if refused else "ok"]
    rows = found("bucket", subject({"bucket": Bucket(True, "x", policy)}, bucket_key="k"))
    assert [row[0] for row in rows] == ["ok"]


OTHERS = {"AWS": "arn:aws:iam::123456789012:role/other"}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ({"Action": "s3:PutObject", "Resource": "arn:aws:s3:::models/demo/*"}, ["fail"]),
        ({"Action": "s3:GetObject"}, ["fail"]),
        ({"Action": "s3:*"}, ["fail", "fail", "fail"]),
        ({"NotAction": "s3:GetObject"}, ["fail", "fail"]),
        ({"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::models"}, ["fail"]),
        ({"Action": "s3:PutObject", "Resource": "arn:aws:s3:::models/other/*"}, ["ok"]),
        ({"Action": "s3:DeleteBucket"}, ["ok"]),
        (
            {"Action": "s3:PutObject", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
            ["ok"],
        ),
        (
            {"Action": "s3:PutObject", "Condition": {"Bool": {"aws:SecureTransport": "true"}}},
            ["fail"],
        ),
        (
            {"Action": "s3:PutObject", "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
            ["ok"],
        ),
        (
            {"Action": "s3:PutObject", "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.3"}}},
            ["ok"],
        ),
        (
            {"Action": "s3:PutObject", "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.4"}}},
            ["fail"],
        ),
        (
            {
                "Action": "s3:PutObject",
                "Condition": {"ArnNotEquals": {"aws:PrincipalArn": [CALLER, ROLE]}},
            },
            ["ok"],
        ),
        (
            {"Action": "s3:PutObject", "Condition": {"ArnEquals": {"aws:PrincipalArn": CALLER}}},
            ["fail"],
        ),
        (
            {
                "Action": "s3:GetObject",
                "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}},
            },
            ["warn"],
        ),
        (
            {
                "Action": "s3:GetObject",
                "Condition": {
                    "Bool": {"aws:SecureTransport": "false"},
                    "StringNotEquals": {"aws:SourceVpce": "vpce-1"},
                },
            },
            ["ok"],
        ),
        ({"Action": "s3:GetObject", "Principal": OTHERS}, ["ok"]),
        ({"Action": "s3:GetObject", "Principal": {"AWS": ROLE}}, ["fail"]),
        ({"Action": "s3:GetObject", "Principal": {"AWS": "123456789012"}}, ["fail"]),
        ({"Action": "s3:GetObject", "Principal": None, "NotPrincipal": OTHERS}, ["warn"]),
        ({"Effect": "Allow", "Action": "s3:*"}, ["ok"]),
    ],
)
def test_what_the_buckets_policy_denies_is_told(statement, said):
    policy = {"Statement": {"Effect": "Deny", "Principal": "*", "Resource": "*", **statement}}
    rows = found("bucket", subject({"bucket": Bucket(True, "AES256", policy)}))
    assert [row[0] for row in rows] == said
    if said == ["warn"] and "Condition" in statement:
        assert "depending on aws:SourceVpce" in str(rows[0])


@pytest.mark.parametrize(
    ("principal", "said"),
    [
        ({"Service": "cloudtrail.amazonaws.com"}, ["ok"]),
        (OTHERS, ["warn"]),  # it may be the execution role, which is not known
        ({"AWS": "arn:aws:iam::123456789012:root"}, ["fail", "fail", "fail"]),
    ],
)
def test_an_owner_and_an_unknown_role_are_who_they_are(principal, said):
    statement = {"Effect": "Deny", "Principal": principal, "Resource": "*", "Action": "s3:*"}
    policy = {"Statement": statement}
    says = {"bucket": Bucket(True, "AES256", policy), "caller": None}
    one = subject(says, names=dataclasses.replace(NAMES, role=None))
    assert [row[0] for row in found("bucket", one)] == said


def test_questions_are_about_what_the_configuration_names():
    one = subject()
    account: Any = one.account
    list(examine(one))
    asked = {
        (arn.rpartition("/")[2], action): (resources[0], context)
        for arn, (actions, resources, context) in account.simulated
        for action in actions
    }
    assert asked["mme", "s3:GetObject"][0] == "arn:aws:s3:::models/demo/x"
    resource, context = asked["ann", "iam:PassRole"]
    assert (resource, context["iam:PassedToService"]) == (ROLE, ["sagemaker.amazonaws.com"])
    endpoint = "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/demo"
    assert asked["ann", "sagemaker:DescribeEndpoint"][0] == endpoint
    assert not any(
        "*" in resource or "?" in resource for resource, _ in asked.values() if len(resource) > 1
    )


@pytest.mark.parametrize(
    ("policy", "count", "needed"),
    [
        (Policy(), 2, 4),
        (Policy("canary"), 2, 4),
        (Policy("rolling", 50), 4, 4),
        (Policy("rolling", 5), 4, 3),
    ],
)
def test_instances_that_an_update_needs_at_once(policy, count, needed):
    assert quota.at_once(policy, count, 2) == needed


def test_each_type_of_several_variants_has_its_quota():
    several = subject({"quota": Quota(3, 0)}, more=(("ml.c5.large", 4),), running=0)
    rows = found("quota", several)
    assert [row[0] for row in rows] == ["warn", "fail"]
    assert "ml.c5.large for endpoint usage" in rows[1][1]
    assert len(found("offered", several)) == 2


def test_measured_memory_goes_before_an_estimate():
    sizes = ModelSizes({"a": 100, "b": 100}, {"b": 900})
    assert fit.estimate(sizes, "b") == 900
    assert fit.estimate(sizes, "a") == pytest.approx(143)


def test_a_command_ends_with_the_first_failure_and_tells_warnings():
    told: list[str] = []
    found = [
        ok("x"),
        warn("a", "", "do", code="clock"),
        fail("b", "worse", "fix", code="quota"),
    ]
    with pytest.raises(DeployError, match=r"^b: worse$") as caught:
        require(found, told.append)
    assert (caught.value.hint, caught.value.code, told) == ("fix", "quota", ["a\n  next: do"])


@pytest.mark.parametrize("code", ["bucket_forbidden", "aws_AccessDenied", "aws_403"])
def test_who_may_not_look_at_the_models_goes_on_with_a_warning(code):
    told: list[str] = []
    closed = subject(has_models=ServiceError("Forbidden", code=code))
    checks.demand(models.look, closed, told.append)
    assert len(told) == 1
    assert "does not let us look: Forbidden" in told[0]


def test_a_bucket_that_cannot_be_reached_ends_a_command():
    away = subject(has_models=ServiceError("no network", code="unreachable"))
    with pytest.raises(ServiceError, match="no network"):
        checks.demand(models.look, away, pytest.fail)
    with pytest.raises(DeployError, match="no models found under s3://models/demo/") as refused:
        checks.demand(models.look, subject(has_models=False), pytest.fail)
    assert (refused.value.code, refused.value.hint) == ("no_models", "mmectl upload --all")


def test_denials_are_told_apart_from_other_trouble():
    assert checks.unknown(DENIED).fix == "grant it, see: mmectl iam deployer"
    away = checks.unknown(ServiceError("no network", hint="check the network", code="unreachable"))
    assert (away.severity, away.fix) == ("warn", "check the network")


def test_alarms_that_deploy_makes_need_not_be_there():
    ours: dict[str, Any] = {"policy": Policy(alarms=("errors", "mine")), "made": ("errors",)}
    assert found("alarms", subject({"alarms": {"mine": "OK"}}, **ours))[0][0] == "ok"
    ((severity, text),) = found("alarms", subject({"alarms": {}}, **ours))
    assert severity == "fail"
    assert "no such CloudWatch alarm: mine |" in text


def test_models_fit_on_each_type_of_several_variants():
    one: dict[str, Any] = {"sizes": ModelSizes({"a.tar.gz": 4 * 10**9}, {})}
    assert {row[0] for row in found("fit", subject(**one))} == {"ok"}
    rows = found("fit", subject(more=(("ml.c5.large", 1),), **one))
    assert next(text for severity, text in rows if severity == "fail").startswith("a.tar.gz takes")
    assert "ml.c5.large has" in " ".join(text for _, text in rows)


def test_addresses_are_counted_for_the_instances_of_all_variants():
    near = {"subnets": [Subnet("s-1", "a", "vpc", 99), Subnet("s-2", "b", "vpc", 9)]}
    assert found("network", subject(near))[0][0] == "ok"
    ((severity, text),) = found("network", subject(near, more=(("ml.c5.large", 3),)))
    assert (severity, "5 instances may need 10" in text) == ("warn", True)


def test_permissions_are_asked_for_every_key_and_folder():
    keys = ("arn:aws:kms:r:123456789012:key/1", "arn:aws:kms:r:123456789012:key/2")
    one = subject(names=dataclasses.replace(NAMES, keys=keys, features=frozenset({"kms"})))
    account: Any = one.account
    list(examine(one))
    asked = {resource for _, (_, resources, _) in account.simulated for resource in resources}
    assert {*keys, "arn:aws:s3:::models/demo/x", "arn:aws:s3:::models/demo.mmectl/x"} <= asked
