"""SageMaker's control plane and runtime over boto3, as `endpoint` and `invoke` need them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError, ConnectTimeoutError
from botocore.exceptions import ConnectionError as NoConnection

from mmectl.aws.account import Account
from mmectl.aws.autoscaling import Autoscaling
from mmectl.aws.errors import NO_ANSWER, THROTTLED, message_of, offline, translated
from mmectl.base.errors import InvokeError, ModelNotReady, NoEndpoint, ServiceError, TryAgain
from mmectl.invoke import Answer, Request
from mmectl.spec.scaling import Target

# SageMaker itself gives up after 60 s; it shall be the one who says so.
ANSWER_SECONDS = 75.0
PASSING = (500, 502, 503, 504, 530)  # statuses of what may be well a moment later
# code by the status that the container answered with; 0: it did not answer in time
_ANSWERS = {0: "model_timeout", 413: "request_too_large", 507: "model_memory"}
_NO_ENDPOINT = re.compile(r"Endpoint \S+ of account \d+ not found")
FEW = 3  # things whose tags are listed one by one
CLOCKS = 5.0  # seconds that two clocks may differ


_DESCRIBES = {
    "endpoint": ("describe_endpoint", "Endpoint"),
    "endpoint-config": ("describe_endpoint_config", "EndpointConfig"),
    "model": ("describe_model", "Model"),
}


class Sagemaker:
    """SageMaker's control plane as `planning.control_plane` wants it."""

    def __init__(self, aws: Account) -> None:
        self._client = aws.client("sagemaker")
        self._arns: dict[tuple[str, str], str] = {}
        self._scaling = Autoscaling(lambda: aws.client("application-autoscaling"))
        self._logs: Callable[[], Any] = lambda: aws.client("logs")
        self._iam: Callable[[], Any] = lambda: aws.client("iam")
        self._tagging: Callable[[], Any] = lambda: aws.client("resourcegroupstaggingapi")

    def describe_model(self, name: str) -> Mapping[str, Any] | None:
        """The model or None."""
        return self._look("model", name)

    def describe_endpoint_config(self, name: str) -> Mapping[str, Any] | None:
        """The endpoint configuration or None."""
        return self._look("endpoint-config", name)

    def describe_endpoint(self, name: str) -> Mapping[str, Any] | None:
        """The endpoint or None."""
        return self._look("endpoint", name)

    def _look(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """Describe it and remember its ARN."""
        operation, word = _DESCRIBES[kind]
        found = self._described(operation, **{f"{word}Name": name})
        if found is not None and f"{word}Arn" in found:
            self._arns[kind, name] = found[f"{word}Arn"]
        return found

    def _described(self, operation: str, **names: str) -> Mapping[str, Any] | None:
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**names)
        except ClientError as error:
            # SageMaker has no code of its own for what does not exist.
            if "could not find" in message_of(error).lower():
                return None
            with translated(f"sagemaker:{operation}"):
                raise
        except NO_ANSWER as error:
            raise offline(f"sagemaker:{operation}", error) from error
        answer.pop("ResponseMetadata", None)  # of the request; equal things are equal
        return answer

    def create_model(self, request: Mapping[str, Any]) -> None:
        """CreateModel."""
        with translated(f"create model {request['ModelName']}"):
            self._client.create_model(**request)

    def create_endpoint_config(self, request: Mapping[str, Any]) -> None:
        """CreateEndpointConfig."""
        with translated(f"create endpoint configuration {request['EndpointConfigName']}"):
            self._client.create_endpoint_config(**request)

    def create_endpoint(self, request: Mapping[str, Any]) -> None:
        """CreateEndpoint."""
        with translated(f"create endpoint {request['EndpointName']}"):
            self._client.create_endpoint(**request)

    def update_endpoint(self, request: Mapping[str, Any]) -> None:
        """UpdateEndpoint."""
        with translated(f"update endpoint {request['EndpointName']}"):
            self._client.update_endpoint(**request)

    def update_capacities(self, request: Mapping[str, Any]) -> None:
        """UpdateEndpointWeightsAndCapacities."""
        with translated(f"scale endpoint {request['EndpointName']}"):
            self._client.update_endpoint_weights_and_capacities(**request)

    def scalable_targets(self, endpoint: str) -> tuple[Target, ...] | None:
        """The endpoint's variants that autoscaling owns; None for who may not look."""
        return self._scaling.targets(endpoint)

    def autoscale(self, operation: str, request: Mapping[str, Any]) -> None:
        """One change at Application Auto Scaling."""
        self._scaling.call(operation, request)

    def tags(self, kind: str, name: str) -> Mapping[str, str]:
        """The tags of what exists; {} for what was deleted meanwhile."""
        arn = self._arn(kind, name)
        return self._tags(arn) if arn else {}

    def add_tags(self, kind: str, name: str, tags: Mapping[str, str]) -> None:
        """AddTags; what has the key gets the new value."""
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        with translated(f"tag {kind} {name}"):
            self._client.add_tags(ResourceArn=self._arn(kind, name), Tags=listed)

    def delete_tags(self, kind: str, name: str, keys: Sequence[str]) -> None:
        """DeleteTags."""
        with translated(f"untag {kind} {name}"):
            self._client.delete_tags(ResourceArn=self._arn(kind, name), TagKeys=list(keys))

    def _arn(self, kind: str, name: str) -> str | None:
        if (kind, name) not in self._arns:
            self._look(kind, name)
        return self._arns.get((kind, name))

    def delete_model(self, name: str) -> None:
        """DeleteModel; what is gone already is fine."""
        self._deleted("delete_model", ModelName=name)

    def delete_endpoint_config(self, name: str) -> None:
        """DeleteEndpointConfig; what is gone already is fine."""
        self._deleted("delete_endpoint_config", EndpointConfigName=name)

    def delete_endpoint(self, name: str) -> None:
        """DeleteEndpoint; what is gone already is fine."""
        self._deleted("delete_endpoint", EndpointName=name)

    def _deleted(self, operation: str, **names: str) -> None:
        self._described(operation, **names)

    def tagged(
        self, kind: str, contains: str, pattern: str, tag: tuple[str, str]
    ) -> tuple[str, ...]:
        """Names that match the pattern and carry the tag, of that kind of thing."""
        operation, items, name, arn = {
            "endpoint": ("list_endpoints", "Endpoints", "EndpointName", "EndpointArn"),
            "model": ("list_models", "Models", "ModelName", "ModelArn"),
            "endpoint-config": (
                "list_endpoint_configs",
                "EndpointConfigs",
                "EndpointConfigName",
                "EndpointConfigArn",
            ),
        }[kind]
        with translated(f"sagemaker:{operation}"):
            pages = self._client.get_paginator(operation).paginate(NameContains=contains)
            listed = [item for page in pages for item in page[items]]
        found = [item for item in listed if re.fullmatch(pattern, item[name])]
        known = self._arns_with(kind, tag) if len(found) > FEW else frozenset()
        return tuple(
            item[name] for item in found if item[arn] in known or self._carries(item[arn], tag)
        )

    def _arns_with(self, kind: str, tag: tuple[str, str]) -> frozenset[str]:
        """What the tagging service knows to carry the tag, 100 a request; nothing if it is mute.

        It hears of changes later, so that what it does not name is looked at by ListTags.
        """
        filters = [{"Key": tag[0], "Values": [tag[1]]}]
        try:
            with translated("tag:GetResources"):
                pages = (
                    self._tagging()
                    .get_paginator("get_resources")
                    .paginate(
                        TagFilters=filters,
                        ResourceTypeFilters=[f"sagemaker:{kind}"],
                        ResourcesPerPage=100,
                    )
                )
                return frozenset(
                    item["ResourceARN"] for page in pages for item in page["ResourceTagMappingList"]
                )
        except ServiceError:  # who may not ask it asks for each one
            return frozenset()

    def _carries(self, arn: str, tag: tuple[str, str]) -> bool:
        """Whether it carries the tag; what was deleted since it was listed does not."""
        return self._tags(arn).get(tag[0]) == tag[1]

    def _tags(self, arn: str) -> dict[str, str]:
        try:
            with translated(f"sagemaker:ListTags {arn}"):
                pages = self._client.get_paginator("list_tags").paginate(ResourceArn=arn)
                return {item["Key"]: item["Value"] for page in pages for item in page["Tags"]}
        except ServiceError as error:
            if "could not find" in error.message.lower():
                return {}
            raise

    def role_age(self, arn: str) -> float | None:
        """Seconds since a role was made; None where IAM does not tell."""
        try:
            found = self._iam().get_role(RoleName=arn.rpartition("/")[2])["Role"]
        except (ClientError, *NO_ANSWER):
            return None
        made: datetime = found["CreateDate"]
        return (datetime.now(timezone.utc) - made).total_seconds()

    def log_tail(self, endpoint: str, lines: int, since: float) -> tuple[str, ...]:
        """The last lines of the container that wrote last of those that began after `since`.

        `since` is in epoch seconds, with some slack for clocks; () where there are none.

        Source: log group `/aws/sagemaker/Endpoints/<name>` (SageMaker developer guide, Logging).
        """
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        logs = self._logs()
        try:
            streams = logs.describe_log_streams(
                logGroupName=group, orderBy="LastEventTime", descending=True, limit=50
            )["logStreams"]
            begun = [s for s in streams if s.get("creationTime", 0) / 1000 > since - CLOCKS]
            if not begun:
                return ()
            events = logs.get_log_events(
                logGroupName=group,
                logStreamName=begun[0]["logStreamName"],
                limit=lines,
                startFromHead=False,
            )["events"]
        except (ClientError, *NO_ANSWER):
            return ()  # the reason is being reported already; its logs are an extra
        return tuple(event["message"].rstrip() for event in events)


class Runtime:
    """InvokeEndpoint as `invoke.Runtime` wants it."""

    def __init__(self, aws: Account, read_timeout: float = ANSWER_SECONDS) -> None:
        self._client = aws.client("sagemaker-runtime", min(read_timeout, ANSWER_SECONDS))

    def invoke(self, request: Request) -> Answer:
        """One call, no retries. Raises ModelNotReady, TryAgain, InvokeError, ServiceError."""
        optional = {
            "ContentType": request.content_type,
            "Accept": request.accept,
            "TargetModel": request.target_model,
            "CustomAttributes": request.attributes,
            "InferenceId": request.inference_id,
            "TargetVariant": request.variant,
        }
        try:
            answer = self._client.invoke_endpoint(
                EndpointName=request.endpoint,
                Body=request.body,
                **{name: value for name, value in optional.items() if value is not None},
            )
            body = answer["Body"].read()
        except ClientError as error:
            raise _refused(request, error) from error
        except (ConnectionClosedError, ConnectTimeoutError) as error:  # a kept one, often
            text = f"{request.target_model}: the endpoint closed the connection: {error}"
            raise TryAgain(text, code="unreachable") from error
        except NoConnection as error:
            raise InvokeError(
                f"{request.target_model}: the endpoint cannot be reached: {error}",
                hint="see: mmectl status",
                code="unreachable",
            ) from error
        except NO_ANSWER as error:
            raise offline(f"sagemaker:InvokeEndpoint {request.endpoint}", error) from error
        return Answer(
            body=body,
            content_type=answer.get("ContentType", ""),
            variant=answer.get("InvokedProductionVariant"),
            attributes=answer.get("CustomAttributes"),
            spent=_spent(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})),
        )


def _spent(headers: Mapping[str, str]) -> dict[str, float]:
    """What the embedded platform tells of where the time went; SageMaker tells nothing."""
    pairs = (word.partition("=") for word in headers.get("x-mmectl-seconds", "").split())
    return {name: float(value) for name, _, value in pairs}


def _refused(request: Request, error: ClientError) -> InvokeError:
    code = error.response["Error"].get("Code", "Unknown")
    text = message_of(error)
    if code == "ModelNotReadyException":
        return ModelNotReady(f"{request.target_model}: {text}")
    if code == "ModelError":
        original = error.response.get("OriginalMessage") or text
        status = error.response.get("OriginalStatusCode", "?")
        failed = InvokeError(
            f"{request.target_model} answered {status}: {_inner(original)}",
            hint=None if str(status).startswith("4") else _log_hint(request.endpoint),
            code=_ANSWERS.get(status, "model_error"),
        )
        failed.status = status if isinstance(status, int) else None
        return failed
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if status in PASSING or code in THROTTLED:
        return TryAgain(f"{request.target_model}: {text}", code=f"aws_{code}")
    if code == "ValidationError" and _NO_ENDPOINT.match(text):
        return NoEndpoint(text.rstrip("."), hint="mmectl deploy")
    hint = "see: mmectl status" if "not found" in text else None
    return InvokeError(f"{request.target_model}: {text}", hint=hint, code=f"aws_{code}")


def _log_hint(endpoint: str) -> str:
    return f"read the log of {endpoint}: mmectl logs"


def _inner(text: str) -> str:
    """The message of a Multi Model Server error body, else the text as it is."""
    try:
        body = json.loads(text)
    except ValueError:
        return text
    return str(body.get("message", text)) if isinstance(body, dict) else text
