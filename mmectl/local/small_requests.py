"""Requests to the small services, checked against the service's model.

STS and IAM speak Query, ECR JSON 1.1. Whatever cannot be read is
refused here in the service's own words, so that moto sees only what AWS would look at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmectl.local.call import Call
from mmectl.local.control.validate import (
    check,
    service_model,
    unknown_operation,
)
from mmectl.local.payloads import inflated, json_object, query_fields, query_params
from mmectl.local.values import AwsError

Params = Mapping[str, Any]
_MESSAGE = 128  # characters of a name that are repeated


@dataclass(frozen=True, slots=True)
class Wire:
    """How a service is spoken to: `target` is the prefix of X-Amz-Target, None for Query.

    `code` is that of a parameter which breaks a constraint. With `form` lengths, bounds and
    patterns are left to moto, which has the service's own words for them.
    """

    target: str | None
    code: str
    form: bool = True


WIRES: Mapping[str, Wire] = {
    "sts": Wire(None, "ValidationError"),
    "iam": Wire(None, "ValidationError"),
    "ecr": Wire("AmazonEC2ContainerRegistry_V20150921", "InvalidParameterException"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation that the service has, and its checked parameters."""

    service: str
    operation: str
    params: Params


def read(call: Call, limit: int) -> Asked:
    """What a call asks for; raises AwsError. Loads the service's model, so not for the loop."""
    service = call.claim.service
    wire = WIRES[service]
    if call.path not in ("", "/"):
        raise AwsError("UnknownOperationException", f"There is no '{call.path[:_MESSAGE]}'.", 404)
    body = inflated(call.payload, call.header("Content-Encoding"), limit)
    decode = _from_query if wire.target is None else _from_json
    operation, params = decode(call, wire, body)
    known = check(service, operation, params, wire.code, form=wire.form)
    return Asked(service, operation, known)


def _from_json(call: Call, wire: Wire, body: bytes) -> tuple[str, Params]:
    target, _, operation = (call.header("X-Amz-Target") or "").partition(".")
    names = service_model(call.claim.service).operation_names
    if call.request.method != "POST" or target != wire.target or operation not in names:
        raise unknown_operation(call.header("X-Amz-Target") or "")
    return operation, json_object(body)


def _from_query(call: Call, _: Wire, body: bytes) -> tuple[str, Params]:
    fields = query_fields(body) if call.request.method == "POST" else call.params
    operation = fields.get("Action", "")
    model = service_model(call.claim.service)
    if not operation:
        raise AwsError("MissingAction", "The request must contain the parameter Action.")
    if operation not in model.operation_names:
        raise AwsError(
            "InvalidAction",
            f"Could not find operation {operation[:_MESSAGE]} for version "
            f"{fields.get('Version', 'NO_VERSION_SPECIFIED')[:_MESSAGE]}",
        )
    return operation, query_params(model.operation_model(operation).input_shape, fields)


def not_carried_out(service: str, operation: str) -> AwsError:
    """The refusal of an operation that AWS has and the platform has not, by its name."""
    if operation.startswith("Simulate"):
        # clients ask this before they begin, and go on where they may not ask
        return AwsError(
            "AccessDenied",
            f"Not authorized to perform {service}:{operation}: the embedded platform judges the "
            "policies of its users and roles alone.",
            403,
        )
    error = unknown_operation(operation)
    return AwsError("InvalidAction", error.message) if WIRES[service].target is None else error


# what is answered without moto


def _authorization_message(_: Params) -> dict[str, Any]:
    """DecodeAuthorizationMessage: nothing is ever encoded here."""
    raise AwsError("InvalidAuthorizationMessageException", "Invalid encoded authorization message.")


ANSWERS: Mapping[tuple[str, str], Callable[[Params], dict[str, Any]]] = {
    ("sts", "DecodeAuthorizationMessage"): _authorization_message,
}
