"""What a call asks for, as IAM sees it: actions on resources; and the refusal of what is denied.

Only calls with the access key of a user of the platform's IAM are judged. The project's own key is
the account's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mmectl.base import partitions
from mmectl.base.api_actions import actions_of
from mmectl.base.policies import Asked, Decision
from mmectl.local.call import Call, unquote
from mmectl.local.payloads import inflated, json_object, query_fields
from mmectl.local.refusals import RUNTIME_PATH, protocol_of
from mmectl.local.s3.service import operation_name, subresource
from mmectl.local.values import ACCOUNT, AwsError

MOST = 32 * 1024 * 1024  # bytes of a body that is looked into: the most that a service inflates
TARGET_MODEL = "X-Amzn-SageMaker-Target-Model"
RoleArn = Callable[[str], str | None]
Params = Mapping[str, Any]


class Place(NamedTuple):
    """Where the platform is, for ARNs; `role_arn` gives that of a role with its path."""

    region: str
    role_arn: RoleArn = lambda _: None

    def arn(self, service: str, resource: str, *, everywhere: bool = False) -> str:
        """An ARN of the account; of a service without regions `everywhere`."""
        partition = partitions.of(self.region).name
        region = "" if everywhere else self.region
        return f"arn:{partition}:{service}:{region}:{ACCOUNT}:{resource}"


def asked_of(call: Call, place: Place) -> tuple[Asked, ...]:
    """All that a call needs to be allowed; () where it needs nothing. Raises AwsError."""
    service = call.claim.service
    if service == "s3":
        return _of_s3(call)
    if service == "sagemaker" and call.path.startswith(RUNTIME_PATH):
        return _of_invocation(call, place)
    if service == "mmectl":
        return (Asked("mmectl:Status"),)
    operation, params = _decoded(call)
    resources = _RESOURCES.get(service, _anything)(operation, params, place)
    found = [Asked(a, r) for a in actions_of(service, operation) for r in resources]
    return (*found, *_besides(service, params, place, resources))


def refused(call: Call, arn: str, asked: Asked, decision: Decision) -> AwsError:
    """AWS's text for what a policy denies, or none allows."""
    if decision == "explicitDeny":
        why = "with an explicit deny in an identity-based policy"
    else:
        why = f"because no identity-based policy allows the {asked.action} action"
    text = (
        f"User: {arn} is not authorized to perform: {asked.action} on resource: "
        f"{asked.resource} {why}"
    )
    protocol = protocol_of(call.claim.service, call.path, call.request.headers)
    if protocol in ("s3", "query"):
        return AwsError("AccessDenied", text, 403)
    return AwsError("AccessDeniedException", text, 403 if protocol == "runtime" else 400)


def _of_invocation(call: Call, place: Place) -> tuple[Asked, ...]:
    name = unquote(call.path.removeprefix(RUNTIME_PATH).partition("/")[0])
    target = call.header(TARGET_MODEL)
    context = {"sagemaker:targetmodel": [target]} if target is not None else {}
    resource = place.arn("sagemaker", f"endpoint/{name.lower()}")
    return (Asked("sagemaker:InvokeEndpoint", resource, context),)


def _decoded(call: Call) -> tuple[str, Params]:
    """Operation and parameters; what cannot be read is refused later, by the service."""
    path, _, rest = call.path.rpartition("/operation/")
    if path:  # Smithy RPC: CloudWatch, which has no resources for what is asked here
        return rest, {}
    target = call.header("X-Amz-Target")
    try:
        body = inflated(call.payload, call.header("Content-Encoding"), MOST)
        if target is not None:
            return target.rpartition(".")[2], json_object(body)
        fields = query_fields(body) if call.request.method == "POST" else call.params
    except AwsError:
        return (target or "").rpartition(".")[2], {}
    return fields.get("Action", ""), fields


def _anything(operation: str, params: Params, place: Place) -> list[str]:  # noqa: ARG001
    return ["*"]


_KINDS = {
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
}


def _of_sagemaker(operation: str, params: Params, place: Place) -> list[str]:
    """Names in ARNs are in lower case; lists are of everything."""
    if isinstance(params.get("ResourceArn"), str):
        return [params["ResourceArn"]]
    if operation.startswith("List"):
        return ["*"]
    names = [(kind, params[key]) for key, kind in _KINDS.items() if params.get(key)]
    return [place.arn("sagemaker", f"{kind}/{str(n).lower()}") for kind, n in names] or ["*"]


def _of_logs(_: str, params: Params, place: Place) -> list[str]:
    group, stream = params.get("logGroupName"), params.get("logStreamName")
    if not group:
        return ["*"]
    name = f"log-group:{group}" + (f":log-stream:{stream}" if stream else "")
    return [place.arn("logs", name)]


def _of_ecr(_: str, params: Params, place: Place) -> list[str]:
    listed = params.get("repositoryNames")
    names = listed if isinstance(listed, list) else [params.get("repositoryName")]
    return [place.arn("ecr", f"repository/{name}") for name in names if name] or ["*"]


def _of_iam(_: str, params: Params, place: Place) -> list[str]:
    if params.get("PolicySourceArn"):
        return [str(params["PolicySourceArn"])]
    if params.get("RoleName"):
        name = str(params["RoleName"])
        return [place.role_arn(name) or place.arn("iam", f"role/{name}", everywhere=True)]
    if params.get("UserName"):
        return [place.arn("iam", f"user/{params['UserName']}", everywhere=True)]
    return ["*"]


def _of_cloudwatch(operation: str, params: Params, place: Place) -> list[str]:
    """Alarms and dashboards by name; what describes and lists is about all."""
    if isinstance(params.get("ResourceARN"), str):
        return [params["ResourceARN"]]
    if operation.startswith(("Describe", "List")):
        return ["*"]
    found = [place.arn("cloudwatch", f"alarm:{name}") for name in _names(params, "AlarmName")]
    dashboards = [f"dashboard/{name}" for name in _names(params, "DashboardName")]
    found += [place.arn("cloudwatch", name, everywhere=True) for name in dashboards]
    return found or ["*"]


def _names(params: Params, member: str) -> list[Any]:
    listed = params.get(f"{member}s")
    return listed if isinstance(listed, list) else [params[member]] if params.get(member) else []


_RESOURCES: Mapping[str, Callable[[str, Params, Place], list[str]]] = {
    "sagemaker": _of_sagemaker,
    "logs": _of_logs,
    "ecr": _of_ecr,
    "iam": _of_iam,
    "monitoring": _of_cloudwatch,
}


def _besides(service: str, params: Params, place: Place, resources: list[str]) -> tuple[Asked, ...]:
    """What a call needs beside its own action: to hand a role on, to tag."""
    found: list[Asked] = []
    if service == "sagemaker" and isinstance(params.get("ExecutionRoleArn"), str):
        passed = {"iam:passedtoservice": ["sagemaker.amazonaws.com"]}
        found.append(Asked("iam:PassRole", params["ExecutionRoleArn"], passed))
    if service == "sagemaker" and params.get("Tags"):
        own = place.arn("sagemaker", "endpoint-config/")
        both = len(resources) > 1  # an endpoint's configuration is named, not tagged
        tagged = [r for r in resources if not (both and r.startswith(own))]
        found += [Asked("sagemaker:AddTags", resource) for resource in tagged]
    if service == "ecr" and params.get("tags"):
        found += [Asked("ecr:TagResource", resource) for resource in resources]
    return tuple(found)


# S3: the operation by method and parameter, where its name is not formed from both
_OPERATIONS = {
    ("GET", "Service", ""): "ListBuckets",
    ("GET", "Bucket", ""): "ListObjects",
    ("GET", "Bucket", "list-type"): "ListObjectsV2",
    ("GET", "Bucket", "uploads"): "ListMultipartUploads",
    ("GET", "Bucket", "versions"): "ListObjectVersions",
    ("PUT", "Bucket", ""): "CreateBucket",
    ("PUT", "Object", "copy"): "CopyObject",
    ("PUT", "Object", "uploadId"): "UploadPart",
    ("PUT", "Object", "uploadId+copy"): "CopyObject",
    ("GET", "Object", "uploadId"): "ListParts",
    ("GET", "Object", "partNumber"): "GetObject",
    ("HEAD", "Object", "partNumber"): "HeadObject",
    ("POST", "Object", "uploads"): "CreateMultipartUpload",
    ("POST", "Object", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "Object", "uploadId"): "AbortMultipartUpload",
}
_SETTINGS = {"lifecycle": "LifecycleConfiguration"}


def _of_s3(call: Call) -> tuple[Asked, ...]:
    partition = partitions.of(call.claim.region).name
    bucket, _, key = (unquote(call.path.removeprefix("/"))).partition("/")
    method, copied = call.request.method, call.header("x-amz-copy-source")
    sub = subresource(call.params, copied is not None)
    if (method, sub) == ("POST", "delete"):  # judged for each object that its body names
        return ()
    level = "Object" if key else "Bucket" if bucket else "Service"
    usual = operation_name(method, level, _SETTINGS.get(sub, sub))
    operation = _OPERATIONS.get((method, level, sub), usual)
    where = f"arn:{partition}:s3:::{bucket}" + (f"/{key}" if key else "")
    context = {"s3:prefix": [call.params.get("prefix", "")]} if level == "Bucket" else {}
    origin = unquote((copied or "").partition("?versionId=")[0]).removeprefix("/")
    source = f"arn:{partition}:s3:::{origin}"
    return tuple(
        Asked(action, source if copied and action == "s3:GetObject" else where or "*", context)
        for action in actions_of("s3", operation)
    )
