"""CloudWatch's three protocols: JSON 1.0, Smithy RPC v2 with CBOR, and Query with XML.

botocore 1.44 and the AWS CLI send JSON; older ones Query, other SDKs CBOR. The codec of CBOR is
botocore's, XML is written by moto's; only JSON is needed often, they are imported when needed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from aiohttp import web

from mmectl.local.call import Call
from mmectl.local.control.validate import service_model, unknown_operation
from mmectl.local.metrics.service import CloudWatch
from mmectl.local.payloads import inflated, json_object, query_fields, query_params
from mmectl.local.refusals import cbor_of_texts, xml_text
from mmectl.local.values import AwsError

TARGET = "GraniteServiceVersion20100801"
MOST_INFLATED = 8 * 1024 * 1024  # bytes of a body that came compressed
_RPC = f"/service/{TARGET}/operation/"
_JSON, _CBOR = "application/x-amz-json-1.0", "application/cbor"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request decoded: `protocol` is json, cbor or query; times are epoch seconds."""

    protocol: str
    operation: str
    params: dict[str, Any]


class Monitoring:
    """Answers CloudWatch's requests."""

    def __init__(self, cloudwatch: CloudWatch) -> None:
        self._cloudwatch = cloudwatch

    async def __call__(self, call: Call) -> web.StreamResponse:
        """Decode, answer, encode; errors in the protocol of the request."""
        protocol = protocol_of(call)
        try:
            asked = await asyncio.to_thread(_read, call, protocol)
            answer = await self._cloudwatch.call(asked.operation, asked.params)
            body = await asyncio.to_thread(encode, asked, answer, call.request_id)
        except AwsError as error:
            return refused(protocol, error, call.request_id)
        headers = {"Content-Type": _type(protocol)}
        if protocol == "cbor":
            headers["smithy-protocol"] = "rpc-v2-cbor"
        return web.Response(body=body, headers=headers)


def protocol_of(call: Call) -> str:
    """Which of the three a request speaks."""
    if call.path.startswith(_RPC):
        return "cbor"
    return "query" if call.header("X-Amz-Target") is None else "json"


def _read(call: Call, protocol: str) -> Asked:
    plain = call.payload if call.request.method == "POST" else call.query.encode()
    body = inflated(plain, call.header("Content-Encoding"), MOST_INFLATED)
    if protocol == "query":
        operation = query_fields(body).get("Action", "")
    elif protocol == "json":
        operation = (call.header("X-Amz-Target") or "").removeprefix(TARGET + ".")
    else:
        operation = call.path.removeprefix(_RPC)
    return decode(protocol, operation, body)


def decode(protocol: str, operation: str, body: bytes) -> Asked:
    """The parameters of an operation; raises AwsError where they cannot be read."""
    if operation not in service_model("cloudwatch").operation_names:
        raise unknown_operation(operation)
    return Asked(protocol, operation, _DECODERS[protocol](operation, body))


def _from_json(_: str, body: bytes) -> dict[str, Any]:
    return json_object(body)


def _from_query(operation: str, body: bytes) -> dict[str, Any]:
    shape = service_model("cloudwatch").operation_model(operation).input_shape
    return query_params(shape, query_fields(body))


def _from_cbor(operation: str, body: bytes) -> dict[str, Any]:
    """By botocore's parser of answers: a request has the same form."""
    from botocore.parsers import ResponseParserError, ResponseParserFactory

    if not body:
        return {}
    shape = service_model("cloudwatch").operation_model(operation).input_shape
    factory = ResponseParserFactory()
    factory.set_parser_defaults(timestamp_parser=lambda value: value)
    parser = factory.create_parser("smithy-rpc-v2-cbor")
    try:
        found = parser.parse({"status_code": 200, "headers": {}, "body": body}, shape)
        found.pop("ResponseMetadata", None)
        return dict(_seconds(found))
    except Exception as error:  # noqa: BLE001  # it is made for answers of AWS, not for anybody's
        kind = "" if isinstance(error, ResponseParserError) else f"{type(error).__name__}: "
        text = f"The body cannot be read: {kind}{str(error)[:200]}."
        raise AwsError("SerializationException", text) from None


_DECODERS: Mapping[str, Callable[[str, bytes], dict[str, Any]]] = {
    "json": _from_json,
    "cbor": _from_cbor,
    "query": _from_query,
}


def encode(asked: Asked, answer: Mapping[str, Any], request_id: str) -> bytes:
    """The answer's body."""
    if asked.protocol == "json":
        return json.dumps(answer).encode()
    shape = service_model("cloudwatch").operation_model(asked.operation).output_shape
    dated = _dated(shape, answer) if shape is not None else {}
    if asked.protocol == "cbor":
        return _to_cbor(shape, dated) if shape is not None else b"\xbf\xff"
    return _to_xml(asked.operation, dated, request_id)


@dataclass(frozen=True, slots=True)
class _Outward:
    """An operation as botocore's serializer of requests takes it, for answers."""

    input_shape: Any
    name: str
    service_model: Any
    endpoint: None = None
    has_event_stream_input: bool = False
    has_event_stream_output: bool = False


def _to_cbor(shape: Any, answer: Mapping[str, Any]) -> bytes:
    from botocore.serialize import create_serializer

    serializer = create_serializer("smithy-rpc-v2-cbor", include_validation=False)
    outward = _Outward(shape, "Answer", service_model("cloudwatch"))
    body: bytes = serializer.serialize_to_request(answer, outward)["body"]
    return bytes(body)


def _to_xml(operation: str, answer: Mapping[str, Any], request_id: str) -> bytes:
    from moto.core.serialize import QuerySerializer, SerializationContext
    from moto.core.utils import get_service_model

    model = get_service_model("cloudwatch").operation_model(operation)
    serializer = QuerySerializer(model, SerializationContext(request_id))
    body: str = serializer.serialize(answer)["body"]
    return body.encode()


_QUERY_CODES = {
    "UnknownOperationException": "InvalidAction",
    "SerializationException": "MalformedInput",
}


def refused(protocol: str, error: AwsError, request_id: str) -> web.Response:
    """An error; JSON and CBOR carry the code that Query has as well."""
    code = error.code.removesuffix("Exception") if "Parameter" in error.code else error.code
    code = _QUERY_CODES.get(code, code) if protocol == "query" else code
    fault = "Sender" if error.status < 500 else "Receiver"
    headers = {"Content-Type": _type(protocol), "x-amzn-query-error": f"{code};{fault}"}
    members = {"__type": error.code, "message": error.message}
    if protocol == "json":
        return web.Response(status=error.status, headers=headers, body=json.dumps(members).encode())
    if protocol == "cbor":
        headers["smithy-protocol"] = "rpc-v2-cbor"
        body = cbor_of_texts(members)
        return web.Response(status=error.status, headers=headers, body=body)
    text = (
        f"<ErrorResponse><Error><Type>{fault}</Type><Code>{code}</Code><Message>"
        f"{xml_text(error.message)}</Message></Error><RequestId>{request_id}</RequestId>"
        "</ErrorResponse>"
    )
    return web.Response(status=error.status, headers=headers, body=text.encode())


def _type(protocol: str) -> str:
    return {"json": _JSON, "cbor": _CBOR}.get(protocol, "text/xml")


def _seconds(value: Any) -> Any:
    """Times as epoch seconds, everywhere."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
        return aware.timestamp()
    if isinstance(value, Mapping):
        return {name: _seconds(item) for name, item in value.items()}
    return [_seconds(item) for item in value] if isinstance(value, list) else value


def _dated(shape: Any, value: Any) -> Any:
    """Epoch seconds as times, where the shape has times."""
    if shape.type_name == "timestamp":
        return datetime.fromtimestamp(value, timezone.utc)
    if shape.type_name == "structure":
        return {name: _dated(shape.members[name], item) for name, item in value.items()}
    return [_dated(shape.member, item) for item in value] if shape.type_name == "list" else value
