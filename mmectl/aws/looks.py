"""What the checks of `mmectl doctor` ask of AWS, over boto3."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

from mmectl.aws.account import Account
from mmectl.aws.cloudwatch import alarm_states
from mmectl.aws.errors import translated
from mmectl.aws.pricing import hourly
from mmectl.base.errors import ServiceError
from mmectl.base.policies import Context
from mmectl.base.values import Identity
from mmectl.doctor.values import Bucket, Quota, Subnet

_DENIED = ("aws_AccessDenied", "aws_403")
_NONE = ("aws_ServerSideEncryptionConfigurationNotFoundError", "aws_NoSuchBucketPolicy")
_ASSUMED = re.compile(r"arn:([\w-]+):sts::(\d{12}):assumed-role/([^/]+)/.*")
_COUNTED_SECONDS = 3600  # AWS counts what is in use every five minutes; gaps are usual


class Looks:
    """`doctor.values.Account` of an account; `wanted_role` is aws.role. Answers are kept."""

    def __init__(
        self,
        aws: Account,
        wanted_role: Callable[[], str | None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._aws, self._wanted_role, self._now = aws, wanted_role, now

    def identity(self) -> Identity:
        """Who we are."""
        return self._identity[0]

    def clock(self) -> float:
        """Seconds that AWS's clock is ahead of ours."""
        return self._identity[1]

    @cached_property
    def _identity(self) -> tuple[Identity, float]:
        with translated("sts:GetCallerIdentity"):
            answer = self._aws.client("sts").get_caller_identity()
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        ahead = parsedate_to_datetime(date).timestamp() - self._now() if date else 0.0
        return Identity(answer["Account"], answer["Arn"], self._aws.region), ahead

    def role(self) -> Mapping[str, Any] | None:
        """The execution role as IAM describes it; None: there is none of that name."""
        return self._role

    @cached_property
    def _role(self) -> Mapping[str, Any] | None:
        try:
            return self._described(self._aws.role(self._wanted_role()))
        except ServiceError as error:
            if error.code in ("aws_NoSuchEntity", "no_role"):
                return None
            raise

    def _described(self, arn: str) -> Mapping[str, Any]:
        name = arn.rpartition("/")[2]
        with translated(f"iam:GetRole {name}"):
            found: Mapping[str, Any] = self._aws.client("iam").get_role(RoleName=name)["Role"]
        return found

    def caller(self) -> str | None:
        """The ARN whose policies are the caller's; None: the account's owner, who may all."""
        arn = self.identity().arn
        if arn.endswith(":root"):
            return None
        assumed = _ASSUMED.fullmatch(arn)
        if assumed is None:
            return arn
        try:  # only the role itself tells its path
            return str(self._described(f"role/{assumed[3]}")["Arn"])
        except ServiceError:
            return f"arn:{assumed[1]}:iam::{assumed[2]}:role/{assumed[3]}"

    def simulate(
        self, arn: str, actions: Sequence[str], resources: Sequence[str], context: Context
    ) -> Mapping[tuple[str, str], str]:
        """(action, resource) -> decision, by the policies of a user or role."""
        entries = [
            {"ContextKeyName": key, "ContextKeyValues": list(values), "ContextKeyType": "string"}
            for key, values in context.items()
        ]
        with translated(f"iam:SimulatePrincipalPolicy {arn}"):
            pages = self._aws.client("iam").get_paginator("simulate_principal_policy")
            found = [
                row
                for page in pages.paginate(
                    PolicySourceArn=arn,
                    ActionNames=list(actions),
                    ResourceArns=list(resources),
                    ContextEntries=entries,
                )
                for row in page["EvaluationResults"]
            ]
        return {
            (row["EvalActionName"], row.get("EvalResourceName", "*")): row["EvalDecision"]
            for row in found
        }

    def bucket(self, name: str) -> Bucket:
        """The models' bucket. Raises ServiceError for one elsewhere, or that is not to be had."""
        if not self._aws.bucket_exists(name):
            return Bucket(False)
        client = self._aws.client("s3")
        unknown: list[str] = []
        encryption = self._setting(client.get_bucket_encryption, name, "its encryption", unknown)
        policy = self._setting(client.get_bucket_policy, name, "its policy", unknown)
        return Bucket(
            True,
            _algorithm(encryption),
            policy.get("Policy"),
            tuple(unknown),
            self._is_foreign(name),
        )

    def _is_foreign(self, name: str) -> bool:
        """Whether the bucket is another account's."""
        owner = self.identity().account
        try:
            with translated(f"s3:HeadBucket {name}"):
                self._aws.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=owner)
        except ServiceError as error:
            return error.code == "aws_403"
        return False

    def _setting(
        self, call: Callable[..., Any], name: str, what: str, unknown: list[str]
    ) -> Mapping[str, Any]:
        try:
            with translated(what):
                found: Mapping[str, Any] = call(Bucket=name)
        except ServiceError as error:
            if error.code in _DENIED:
                unknown.append(what)
            elif error.code not in _NONE:
                raise
            return {}
        return found

    def quota(self, name: str) -> Quota | None:
        """A quota of SageMaker's; None: the region has none of that name."""
        row = next((row for row in self._quotas() if row["QuotaName"] == name), None)
        return Quota(row["Value"], self._used(row.get("UsageMetric"))) if row else None

    def _quotas(self) -> Iterator[Mapping[str, Any]]:
        with translated("servicequotas:ListServiceQuotas"):
            pages = self._aws.client("service-quotas").get_paginator("list_service_quotas")
            for page in pages.paginate(ServiceCode="sagemaker"):
                yield from page["Quotas"]

    def _used(self, metric: Mapping[str, Any] | None) -> float | None:
        """How much of a quota is in use, as AWS counts it; None where it does not."""
        if not metric or not metric.get("MetricName"):
            return None
        now = datetime.fromtimestamp(self._now(), timezone.utc)
        names = metric.get("MetricDimensions") or {}
        query = {
            "Namespace": metric["MetricNamespace"],
            "MetricName": metric["MetricName"],
            "Dimensions": [{"Name": key, "Value": value} for key, value in names.items()],
        }
        try:
            with translated("cloudwatch:GetMetricData"):
                answer = self._aws.client("cloudwatch").get_metric_data(
                    MetricDataQueries=[
                        {
                            "Id": "used",
                            "MetricStat": {"Metric": query, "Period": 300, "Stat": "Maximum"},
                        }
                    ],
                    StartTime=datetime.fromtimestamp(self._now() - _COUNTED_SECONDS, timezone.utc),
                    EndTime=now,
                )
        except ServiceError:
            return None
        values = answer["MetricDataResults"][0]["Values"]
        return float(values[0]) if values else None

    def offered(self, instance_type: str) -> bool | None:
        """Whether the region sells it for endpoints; None: the price list does not tell."""
        if hourly(self._aws, instance_type) is not None:
            return True
        return False if hourly(self._aws, "ml.m5.large") is not None else None

    def subnets(self, names: Sequence[str]) -> Sequence[Subnet]:
        """Those of the subnets that exist."""
        asked = [{"Name": "subnet-id", "Values": list(names)}]
        with translated("ec2:DescribeSubnets"):
            pages = self._aws.client("ec2").get_paginator("describe_subnets")
            found = [row for page in pages.paginate(Filters=asked) for row in page["Subnets"]]
        return [
            Subnet(
                row["SubnetId"],
                row["AvailabilityZone"],
                row["VpcId"],
                row["AvailableIpAddressCount"],
            )
            for row in found
        ]

    def reaches_s3(self, vpc: str) -> bool:
        """Whether the VPC has an endpoint of S3."""
        asked = [
            {"Name": "vpc-id", "Values": [vpc]},
            {"Name": "service-name", "Values": [f"com.amazonaws.{self._aws.region}.s3"]},
        ]
        with translated("ec2:DescribeVpcEndpoints"):
            answer = self._aws.client("ec2").describe_vpc_endpoints(Filters=asked)
        return any(row.get("State", "").lower() == "available" for row in answer["VpcEndpoints"])

    def alarms(self, names: Sequence[str]) -> Mapping[str, str]:
        """State by name of those alarms that exist."""
        return alarm_states(self._aws, names)


def _algorithm(answer: Mapping[str, Any]) -> str | None:
    """The default encryption, such as ``aws:kms``."""
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", ())
    found = [rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in rules]
    return next((one["SSEAlgorithm"] for one in found if one.get("SSEAlgorithm")), None)
