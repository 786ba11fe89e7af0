"""What the runtime API says: targets checked, container answers turned into AWS's errors. Pure.

Texts as SageMaker Runtime words them where that is known; the others are in its manner and
name the thing and the fix.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from mmectl.base import partitions
from mmectl.local.instance.http_client import Answer
from mmectl.local.values import ACCOUNT, AwsError, FleetSpec

_MESSAGE = 4096
TARGET_LENGTH = 1024
_ERROR_CODES = {"client": "CLIENT_ERROR", "server": "INTERNAL_FAILURE"}


def check_target(target: str) -> str:
    r"""Check a TargetModel as the API does: 1-1024 characters ``\A\S[\p{Print}]*\z``.

    ``..`` and empty segments are refused, and so is a leading slash: the name is joined to the
    prefix as it stands. Raises AwsError.
    """
    if not 1 <= len(target) <= TARGET_LENGTH:
        bound = "at least 1" if not target else f"at most {TARGET_LENGTH}"
        raise _invalid_target(f"must have length {bound}")
    if target[0].isspace() or not target.isprintable():
        raise _invalid_target("must satisfy regular expression pattern: \\A\\S[\\p{Print}]*\\z")
    if target.startswith("/"):
        raise _invalid_target("must be relative to ModelDataUrl: leave out the leading '/'")
    if any(part in ("", ".", "..") for part in target.split("/")):
        raise _invalid_target("must not have the segments '', '.' or '..'")
    return target


def _invalid_target(rule: str) -> AwsError:
    return AwsError(
        "ValidationError",
        f"1 validation error detected: Value at 'targetModel' failed to satisfy constraint: "
        f"Member {rule}",
    )


def model_name(target: str) -> str:
    """The opaque name that the container sees: the TargetModel may hold a '/', a URL not."""
    return hashlib.sha256(target.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def no_variant(variant: str) -> AwsError:
    """TargetVariant names none of the endpoint's (text seen on AWS, its end is ours)."""
    return AwsError(
        "ValidationError",
        f"Variant {variant} not found for Request.",
    )


def kind_of(answer: Answer) -> tuple[str, str]:
    """The ``type`` and ``message`` of Multi Model Server's error body, empty where not."""
    try:
        parsed = json.loads(answer.body)
    except ValueError:
        return "", ""
    if not isinstance(parsed, dict):
        return "", ""
    return str(parsed.get("type", "")), str(parsed.get("message", ""))


def worker_died(answer: Answer) -> bool:
    """Whether the worker ended while it held this request."""
    return answer.status == 500 and kind_of(answer)[1] == "Worker died."


def not_loaded(answer: Answer) -> bool:
    """Whether the server does not know the model (and not the handler said 404)."""
    return answer.status == 404 and kind_of(answer)[0] == "ModelNotFoundException"


def no_worker(answer: Answer) -> bool:
    """Whether the server took the request to no worker: its queue is full, or none is left."""
    return answer.status == 503 and kind_of(answer)[0] == "ServiceUnavailableException"


def model_error(
    endpoint: str, variant: str, region: str, status: int, original: str, instance: str
) -> AwsError:
    """The container's own error, 424, with the container's status and text in it."""
    side = "client" if 400 <= status < 500 else "server"
    original = original[:_MESSAGE]
    partition = partitions.of(region)
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    page = f"https://{region}.{partition.console}/cloudwatch/home"
    return AwsError(
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{original}". See '
        f"{page}?region={region}#logEventViewer:group={group} in account {ACCOUNT} "
        "for more information.",
        424,
        {
            "ErrorCode": f"{_ERROR_CODES[side]}_FROM_MODEL",
            "OriginalStatusCode": status,
            "OriginalMessage": original,
            "LogStreamArn": f"arn:{partition.name}:logs:{region}:{ACCOUNT}:log-group:"
            f"{group}:log-stream:{variant}/{instance}",
        },
    )


@dataclass(frozen=True, slots=True)
class ErrorMessages:
    """The errors of one variant."""

    spec: FleetSpec
    region: str

    def model_error(self, status: int, original: str, instance: str) -> AwsError:
        """The container's own error, 424, with the container's status and text in it."""
        spec = self.spec
        return model_error(spec.endpoint, spec.variant, self.region, status, original, instance)

    def answered(self, answer: Answer, instance: str) -> AwsError:
        """The container's answer, which is not 2xx, as an error."""
        if no_worker(answer):
            return AwsError(
                "ServiceUnavailable",
                "The model has too many requests waiting: its queue is full. Try again.",
                503,
            )
        text = answer.body.decode("utf-8", "replace")
        if not text and answer.status == 413:
            text = "Payload too large for the model server."
        return self.model_error(answer.status, text, instance)

    def timed_out(self, instance: str) -> AwsError:
        """The container did not answer an invocation in time."""
        return self.model_error(
            0,
            "Your invocation timed out while waiting for a response from container primary. "
            "Review the latency metrics for each container in Amazon CloudWatch, resolve the "
            "issue, and try again.",
            instance,
        )

    def load_failed(self, answer: Answer, target: str, instance: str, why: str | None) -> AwsError:
        """The handler could not load the model; `why` from the log."""
        text = kind_of(answer)[1] or answer.body.decode("utf-8", "replace")
        return self.model_error(
            answer.status, f"Failed to load model {target}: {why or text}", instance
        )

    def bad_archive(self, target: str, reason: str, instance: str) -> AwsError:
        """The object is not a model archive."""
        return self.model_error(400, f"Failed to unpack model {target}: {reason}", instance)

    def slow_download(self, target: str, instance: str) -> AwsError:
        """The archive was not fetched and unpacked in the variant's time."""
        reason = (
            f"Failed to download model data for TargetModel {target} within "
            f"ModelDataDownloadTimeoutInSeconds ({self.spec.download_timeout:g} seconds)."
        )
        return self.model_error(500, reason, instance)

    def no_memory(self, target: str, reason: str, instance: str) -> AwsError:
        """There is no room for the model."""
        return self.model_error(507, f"Failed to load model {target}: {reason}", instance)

    def not_ready(self, target: str) -> AwsError:
        """The load takes longer than a request may wait; it goes on."""
        return AwsError(
            "ModelNotReadyException",
            f"Model {target} for variant {self.spec.variant} is not ready for inference yet: "
            "it is still being loaded. Try again.",
            429,
        )

    def no_object(self, target: str) -> AwsError:
        """The store has no such archive."""
        key = self.spec.prefix + target
        return AwsError(
            "ValidationError",
            f"Failed to download model data for TargetModel {target}: no object "
            f"s3://{self.spec.bucket}/{key}. Upload it, or check the name.",
        )

    def needs_target(self) -> AwsError:
        """A multi-model endpoint was called without a TargetModel."""
        return AwsError(
            "ValidationError",
            f"Endpoint {self.spec.endpoint} of account {ACCOUNT} is a multi-model endpoint and "
            "requires a target model header.",
        )

    def unavailable(self) -> AwsError:
        """No instance can take the request."""
        return AwsError(
            "ServiceUnavailable",
            f"No instance of variant {self.spec.variant} of endpoint {self.spec.endpoint} is in "
            "service. Try again.",
            503,
        )
