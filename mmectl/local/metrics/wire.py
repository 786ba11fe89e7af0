"""CloudWatch's three protocols: JSON 1.0, Smithy RPC v2 with CBOR, and Query with XML.

botocore 1.44 and the AWS CLI send JSON; older ones Query, other SDKs CBOR. The codecs are
botocore's and moto's; only JSON is needed often, the others are imported when they come.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from mmectl.local.call import Call, Handler
from mmectl.local.control.validate import service_model
from mmectl.local.metrics.service import CloudWatch
from mmectl.local.values import AwsError

TARGET = "GraniteServiceVersion20100801"
_RPC = f"/service/{TARGET}/operation/"
_JSON, _CBOR = "application/x-amz-json-1.0", "application/cbor"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request decoded: `protocol` is json, cbor or query; times are epoch seconds."""

    protocol: str
    operation: str
    params: dict[str, Any]


class Monitoring:
    """Answers CloudWatch's requests; operations it has not go to `others` (dashboards: moto)."""

    def __init__(self, cloudwatch: CloudWatch, others: Handler) -> None:
        self._cloudwatch, self._others = cloudwatch, others

    async def __call__(self, call: Call) -> web.StreamResponse:
        """Decode, answer, encode; errors in the protocol of the request."""
        protocol, operation = asked_for(call)
        if "Dashboard" in operation:
            return await self._others(call)
        try:
            asked = await asyncio.to_thread(decode, protocol, operation, call.payload)
            answer = await self._cloudwatch.call(asked.operation, asked.params)
            body = await asyncio.to_thread(encode, asked, answer, call.request_id)
        except AwsError as error:
            return refused(protocol, error, call.request_id)
        headers = {"Content-Type": _type(protocol)}
        if protocol == "cbor":
            headers["smithy-protocol"] = "rpc-v2-cbor"
        return web.Response(body=body, headers=headers)


def asked_for(call: Call) -> tuple[str, str]:
    """Protocol and operation of a request."""
    if call.path.startswith(_RPC):
        return "cbor", call.path.removeprefix(_RPC)
    target = call.header("X-Amz-Target")
    if target is not None:
        return "json", target.removeprefix(TARGET + ".")
    fields = dict(parse_qsl(call.payload.decode("utf-8", "replace")))
    return "query", fields.get("Action", "")


def decode(protocol: str, operation: str, body: bytes) -> Asked:
    """The parameters; AwsError SerializationException where they cannot be read."""
    if operation not in service_model("cloudwatch").operation_names:
        return Asked(protocol, operation, {})
    try:
        params = _DECODERS[protocol](operation, body)
    except (ValueError, KeyError, TypeError, LookupError) as error:
        raise AwsError("SerializationException", f"The body cannot be read: {error}.") from None
    if not isinstance(params, dict):
        raise AwsError("SerializationException", "The body must be an object.")
    return Asked(protocol, operation, params)


def _from_json(_: str, body: bytes) -> Any:
    return json.loads(body or b"{}")


def _from_cbor(operation: str, body: bytes) -> Any:
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
    except (ResponseParserError, AttributeError, RecursionError) as error:
        raise ValueError(error) from None
    found.pop("ResponseMetadata", None)
    return _seconds(found)


def _from_query(operation: str, body: bytes) -> Any:
    from moto.core.parse import QueryParser
    from moto.core.utils import get_service_model

    fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
    model = get_service_model("cloudwatch").operation_model(operation)
    return _seconds(QueryParser(model).parse({"values": fields}))


_DECODERS: Mapping[str, Callable[[str, bytes], Any]] = {
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


def refused(protocol: str, error: AwsError, request_id: str) -> web.Response:
    """An error; JSON and CBOR carry the code that Query has as well."""
    code = error.code.removesuffix("Exception") if "Parameter" in error.code else error.code
    fault = "Sender" if error.status < 500 else "Receiver"
    headers = {"Content-Type": _type(protocol), "x-amzn-query-error": f"{code};{fault}"}
    members = {"__type": error.code, "message": error.message}
    if protocol == "json":
        return web.Response(status=error.status, headers=headers, body=json.dumps(members).encode())
    if protocol == "cbor":
        headers["smithy-protocol"] = "rpc-v2-cbor"
        body = _cbor_of_texts(members)
        return web.Response(status=error.status, headers=headers, body=body)
    from xml.sax.saxutils import escape

    text = (
        f"<ErrorResponse><Error><Type>{fault}</Type><Code>{escape(code)}</Code><Message>"
        f"{escape(error.message)}</Message></Error><RequestId>{request_id}</RequestId>"
        "</ErrorResponse>"
    )
    return web.Response(status=error.status, headers=headers, body=text.encode())


def _cbor_of_texts(members: Mapping[str, str]) -> bytes:
    """A map of texts in CBOR (RFC 8949): what errors are."""
    parts = [bytes([0xA0 + len(members)])]
    for text in (part for pair in members.items() for part in pair):
        raw = text.encode()
        parts += [b"\x7a", len(raw).to_bytes(4, "big"), raw]
    return b"".join(parts)


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
