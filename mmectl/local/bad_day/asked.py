"""What a verified request asks for: service, operation and the thing that it is about. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from mmectl.local.call import Call

RUNTIME = "runtime"
_RUNTIME_PATH = "/endpoints/"
_READING = ("Describe", "List", "Get", "BatchGet", "Head", "Filter", "Simulate", "Search")
# the member that names what an operation of the control plane is about
_SUBJECTS = (
    "EndpointName",
    "EndpointConfigName",
    "ModelName",
    "ResourceArn",
    "RoleName",
    "NameContains",
    "ResourceId",
    "repositoryName",
    "logGroupName",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `subject` is the thing that it is about, `key` equal for equal requests."""

    service: str
    operation: str
    subject: str
    key: str
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.operation.startswith(_READING)


def asked(call: Call) -> Asked:
    """Take a call apart; what cannot be read has no operation, and its service refuses it."""
    service = call.claim.service
    if service == "s3":
        operation = s3_operation(call.request.method, call.params, copies=_copies(call))
        return Asked(service, operation, call.path, f"{operation} {call.path}?{call.query}")
    if call.path.startswith(_RUNTIME_PATH):
        model = call.header("X-Amzn-SageMaker-Target-Model") or ""
        return Asked(RUNTIME, "InvokeEndpoint", f"{call.path} {model}", f"{call.path} {model}")
    operation, params = _operation(call)
    digest = hashlib.sha256(call.payload).hexdigest()[:16]
    subject = next((str(params[name]) for name in _SUBJECTS if name in params), "")
    return Asked(service, operation, subject, f"{operation} {digest}", params)


def _copies(call: Call) -> bool:
    return call.header("x-amz-copy-source") is not None


def _operation(call: Call) -> tuple[str, Mapping[str, Any]]:
    """Operation and parameters in JSON 1.x, CBOR (the path names it) or Query."""
    if target := call.header("X-Amz-Target"):
        return target.rpartition(".")[2], _json(call.payload)
    if "/operation/" in call.path:
        return call.path.rpartition("/")[2], {}
    form = dict(parse_qsl(call.payload.decode("utf-8", "replace")))
    return form.get("Action", ""), form


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def s3_operation(method: str, params: Mapping[str, str], *, copies: bool = False) -> str:
    """The operation of an S3 request, as far as faults differ."""
    if method == "PUT" and "partNumber" in params:
        return "UploadPart"
    if method == "PUT" and not params:
        return "CopyObject" if copies else "PutObject"
    if method == "POST" and "uploads" in params:
        return "CreateMultipartUpload"
    if method == "POST" and "uploadId" in params:
        return "CompleteMultipartUpload"
    if method == "GET":
        return "GetObject"
    return {"HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(method, f"{method}Object")
