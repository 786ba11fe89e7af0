"""Finds and removes what mmectl left behind in an account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

from mmectl.aws.account import Account
from mmectl.aws.cloudwatch import GROUP
from mmectl.aws.errors import translated
from mmectl.aws.watching import Watching
from mmectl.base.errors import ServiceError
from mmectl.base.values import Location
from mmectl.deploy.leftovers import KEPT, Leftover, Made, superseded
from mmectl.spec.tags import TAG

UNFINISHED = 24 * 3600.0  # seconds after which nobody goes on with an upload
IDLE_DAYS = 7
MOST_ENDPOINTS = 200  # whose traffic is looked at
BUILDS = "mmectl-build-"
IN_USE = "in-use."
FORGOTTEN = 3 * 3600.0  # seconds; longer than a build may wait and run together
Look = Callable[[], Iterator[Leftover]]


class Leftovers:
    """What is left over in the account's region; `endpoint` is the configured one."""

    def __init__(
        self,
        aws: Account,
        endpoint: str,
        location: Location,
        repository: str | None,
        *,
        kept: int = KEPT,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._aws, self._endpoint, self._location = aws, endpoint, location
        self._repository, self._kept, self._now = repository, kept, now
        self._sagemaker = aws.client("sagemaker")

    def looks(self, *, local: bool) -> Mapping[str, Look]:
        """What can be looked for, by name; the embedded platform has no builds."""
        looks: dict[str, Look] = {
            "models and configurations": self.superseded,
            "image tags": self.tags,
            "builds": self.builds,
            "unfinished uploads": self.uploads,
            "scalable targets": self.targets,
            "alarms": self.alarms,
            "logs": self.logs,
        }
        if local:
            del looks["builds"]
        return looks

    @cached_property
    def endpoints(self) -> Mapping[str, Mapping[str, Any]]:
        """Every endpoint by name, as lists tell it."""
        return {row["EndpointName"]: row for row in self._listed("list_endpoints", "Endpoints")}

    def _listed(self, operation: str, items: str) -> list[Mapping[str, Any]]:
        with translated(f"sagemaker:{operation}"):
            pages = self._sagemaker.get_paginator(operation).paginate()
            return [row for page in pages for row in page[items]]

    def superseded(self) -> Iterator[Leftover]:
        """Configurations and models with mmectl's tag that nobody needs any more."""
        made, in_use = list(self._made()), self._in_use()
        ours = {one.name for one in made if one.kind == "endpoint-config"}
        foreign = {name for names in in_use.values() for name in names} - ours
        others = {model for name in sorted(foreign) for model in self._models(name)}
        yield from superseded(made, in_use, self._now(), self._kept, others)

    def _made(self) -> Iterator[Made]:
        kinds = (
            ("endpoint-config", "list_endpoint_configs", "EndpointConfig"),
            ("model", "list_models", "Model"),
        )
        for kind, operation, word in kinds:
            for row in self._listed(operation, f"{word}s"):
                name = row[f"{word}Name"]
                endpoint = self._tag(row[f"{word}Arn"])
                if endpoint is not None:
                    made = row["CreationTime"].timestamp()
                    models = self._models(name) if kind == "endpoint-config" else ()
                    yield Made(kind, name, endpoint, made, models)

    def _tag(self, arn: str) -> str | None:
        """The endpoint that a thing of mmectl's is of; None: it is not mmectl's, or gone."""
        try:
            with translated(f"sagemaker:ListTags {arn}"):
                pages = self._sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
                tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
        except ServiceError as error:
            if "could not find" in error.message.lower():
                return None
            raise
        return tags.get(TAG)

    def _models(self, config: str) -> tuple[str, ...]:
        try:
            with translated(f"sagemaker:DescribeEndpointConfig {config}"):
                found = self._sagemaker.describe_endpoint_config(EndpointConfigName=config)
        except ServiceError as error:
            if "could not find" in error.message.lower():
                return ()
            raise
        return tuple(
            variant["ModelName"]
            for variant in found["ProductionVariants"]
            if variant.get("ModelName")
        )

    def _in_use(self) -> dict[str, set[str]]:
        """Endpoint -> its live and pending configurations."""
        found: dict[str, set[str]] = {}
        for name in self.endpoints:
            with translated(f"sagemaker:DescribeEndpoint {name}"):
                described = self._sagemaker.describe_endpoint(EndpointName=name)
            pending = (described.get("PendingDeploymentSummary") or {}).get("EndpointConfigName")
            names = {described.get("EndpointConfigName"), pending}
            found[name] = {each for each in names if each}
        return found

    def tags(self) -> Iterator[Leftover]:
        """Tags that keep images of endpoints that are gone from expiring."""
        if self._repository is None:
            return
        client = self._aws.client("ecr")
        asked = {"repositoryName": self._repository, "filter": {"tagStatus": "TAGGED"}}
        try:
            with translated(f"ecr:ListImages {self._repository}"):
                pages = client.get_paginator("list_images").paginate(**asked)
                names = [row.get("imageTag") or "" for page in pages for row in page["imageIds"]]
        except ServiceError as error:
            if error.code == "aws_RepositoryNotFoundException":
                return
            raise
        for tag in names:
            endpoint = tag.removeprefix(IN_USE).rpartition(".")[0]
            if tag.startswith(IN_USE) and endpoint not in self.endpoints:
                why = f"its endpoint {endpoint} is gone"
                yield Leftover("image tag", tag, why, request={"repository": self._repository})

    def builds(self) -> Iterator[Leftover]:
        """CodeBuild projects of builds that were killed."""
        client = self._aws.client("codebuild")
        with translated("codebuild:ListProjects"):
            pages = client.get_paginator("list_projects").paginate()
            names = [n for page in pages for n in page["projects"] if n.startswith(BUILDS)][:100]
        if not names:
            return
        with translated("codebuild:BatchGetProjects"):
            found = client.batch_get_projects(names=names)["projects"]
        for project in found:
            if self._now() - project["created"].timestamp() > FORGOTTEN:
                yield Leftover("build project", project["name"], "its build was killed")

    def uploads(self) -> Iterator[Leftover]:
        """Uploads in parts that nobody went on with; their parts cost money, unseen."""
        where = self._location
        if not self._aws.bucket_exists(where.bucket):
            return
        with translated(f"s3:ListMultipartUploads {where.bucket}"):
            pages = self._aws.client("s3").get_paginator("list_multipart_uploads")
            found = [
                row
                for page in pages.paginate(Bucket=where.bucket, Prefix=where.prefix)
                for row in page.get("Uploads", ())
            ]
        for row in found:
            if self._now() - row["Initiated"].timestamp() > UNFINISHED:
                request = {"bucket": where.bucket, "upload": row["UploadId"]}
                yield Leftover("upload", row["Key"], "unfinished for over a day", request=request)

    def targets(self) -> Iterator[Leftover]:
        """Scalable targets of endpoints that are gone; only the configured one's are ours."""
        client = self._aws.client("application-autoscaling")
        with translated("application-autoscaling:DescribeScalableTargets"):
            pages = client.get_paginator("describe_scalable_targets")
            found = [
                row
                for page in pages.paginate(ServiceNamespace="sagemaker")
                for row in page["ScalableTargets"]
            ]
        for row in found:
            kind, _, rest = row["ResourceId"].partition("/")
            endpoint = rest.partition("/")[0]
            if kind == "endpoint" and endpoint not in self.endpoints:
                request = {"dimension": row["ScalableDimension"]}
                why = f"its endpoint {endpoint} is gone"
                ours = endpoint == self._endpoint
                yield Leftover("scalable target", row["ResourceId"], why, ours, request)

    def alarms(self) -> Iterator[Leftover]:
        """Alarms on endpoints that are gone; of the configured one those with our tag are ours."""
        watching = Watching(self._aws)
        with translated("cloudwatch:DescribeAlarms"):
            pages = self._aws.client("cloudwatch").get_paginator("describe_alarms").paginate()
            found = [row for page in pages for row in page.get("MetricAlarms", ())]
        for row in found:
            named = {one["Name"]: one["Value"] for one in row.get("Dimensions", ())}
            endpoint = named.get("EndpointName")
            if endpoint is not None and endpoint not in self.endpoints:
                ours = endpoint == self._endpoint and watching.alarm_tags(row["AlarmArn"]).get(TAG)
                why = f"its endpoint {endpoint} is gone"
                yield Leftover("alarm", row["AlarmName"], why, ours == endpoint)

    def logs(self) -> Iterator[Leftover]:
        """Log groups of endpoints that are gone; only the configured one's is ours."""
        with translated("logs:DescribeLogGroups"):
            pages = self._aws.client("logs").get_paginator("describe_log_groups")
            found = [
                r for page in pages.paginate(logGroupNamePrefix=GROUP) for r in page["logGroups"]
            ]
        for row in found:
            endpoint = row["logGroupName"].removeprefix(GROUP)
            if endpoint not in self.endpoints:
                size = row.get("storedBytes", 0) / 1e6
                why = f"its endpoint {endpoint} is gone; {size:,.1f} MB"
                yield Leftover("log group", row["logGroupName"], why, endpoint == self._endpoint)

    def idle(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Endpoints that nobody asked for IDLE_DAYS, as they are described; nothing is changed."""
        end = datetime.fromtimestamp(self._now(), timezone.utc)
        start = end - timedelta(days=IDLE_DAYS)
        for name, row in list(self.endpoints.items())[:MOST_ENDPOINTS]:
            old = row["CreationTime"].timestamp() < start.timestamp()
            if row["EndpointStatus"] != "InService" or not old:
                continue
            with translated(f"sagemaker:DescribeEndpoint {name}"):
                described = self._sagemaker.describe_endpoint(EndpointName=name)
            variants = [one["VariantName"] for one in described.get("ProductionVariants", ())]
            if variants and not self._asked(name, variants, start, end):
                yield name, described

    def _asked(self, name: str, variants: list[str], start: datetime, end: datetime) -> bool:
        """Whether any variant had requests in that time."""
        queries = [
            {
                "Id": f"q{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/SageMaker",
                        "MetricName": "Invocations",
                        "Dimensions": [
                            {"Name": "EndpointName", "Value": name},
                            {"Name": "VariantName", "Value": variant},
                        ],
                    },
                    "Period": 24 * 3600,
                    "Stat": "Sum",
                },
            }
            for number, variant in enumerate(variants)
        ]
        with translated("cloudwatch:GetMetricData"):
            pages = self._aws.client("cloudwatch").get_paginator("get_metric_data")
            found = pages.paginate(MetricDataQueries=queries, StartTime=start, EndTime=end)
            return any(v for page in found for r in page["MetricDataResults"] for v in r["Values"])

    def types(self, described: Mapping[str, Any]) -> Mapping[str, Any]:
        """The configuration of a described endpoint, which tells instance types."""
        name = described["EndpointConfigName"]
        with translated(f"sagemaker:DescribeEndpointConfig {name}"):
            found: Mapping[str, Any] = self._sagemaker.describe_endpoint_config(
                EndpointConfigName=name
            )
        return found

    def remove(self, left: Leftover) -> None:
        """Remove one; what is gone already is fine. Raises ServiceError."""
        removals: Mapping[str, Callable[[Leftover], object]] = {
            "endpoint-config": lambda one: self._sagemaker.delete_endpoint_config(
                EndpointConfigName=one.name
            ),
            "model": lambda one: self._sagemaker.delete_model(ModelName=one.name),
            "image tag": lambda one: self._aws.client("ecr").batch_delete_image(
                repositoryName=one.request["repository"], imageIds=[{"imageTag": one.name}]
            ),
            "build project": self._remove_build,
            "upload": lambda one: self._aws.client("s3").abort_multipart_upload(
                Bucket=one.request["bucket"], Key=one.name, UploadId=one.request["upload"]
            ),
            "scalable target": lambda one: self._aws.client(
                "application-autoscaling"
            ).deregister_scalable_target(
                ServiceNamespace="sagemaker",
                ResourceId=one.name,
                ScalableDimension=one.request["dimension"],
            ),
            "alarm": lambda one: self._aws.client("cloudwatch").delete_alarms(
                AlarmNames=[one.name]
            ),
            "log group": lambda one: self._aws.client("logs").delete_log_group(
                logGroupName=one.name
            ),
        }
        try:
            with translated(f"remove {left.kind} {left.name}"):
                removals[left.kind](left)
        except ServiceError as error:
            if error.code not in _GONE and "could not find" not in error.message.lower():
                raise

    def _remove_build(self, left: Leftover) -> None:
        """The project, its log and its source."""
        self._aws.client("codebuild").delete_project(name=left.name)
        for removed in (
            Leftover("log group", f"/aws/codebuild/{left.name}", ""),
            Leftover("source", f"mmectl-build/{left.name}.zip", ""),
        ):
            with suppress(ServiceError):
                if removed.kind == "log group":
                    self.remove(removed)
                else:
                    with translated(f"s3:DeleteObject {removed.name}"):
                        self._aws.client("s3").delete_object(
                            Bucket=self._location.bucket, Key=removed.name
                        )


_GONE = (
    "aws_ResourceNotFoundException",
    "aws_ObjectNotFoundException",
    "aws_NoSuchUpload",
    "aws_NoSuchKey",
    "aws_RepositoryNotFoundException",
)
