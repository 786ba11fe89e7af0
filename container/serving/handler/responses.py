"""One request of a batch to its answer, with the statuses and headers that the caller sees.

======  =========================================================================
200     JSON, or what else Accept asks for; for images five lines of classes
400     the payload is bad, 406 the Accept header, 415 the content type; the body
        is ``{"code", "type", "message"}`` as in the server's own errors
500     the model failed, or what it answered is nothing that the format holds
======  =========================================================================
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from runtimes import media_types
from runtimes.values import EngineError

from serving.handler import codecs
from serving.handler.loaded import Loaded
from serving.workers import memory

log = logging.getLogger("model_handler")
# The one header of a container's answer that SageMaker hands on to the caller; it says whether
# this was the first request since the load.
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
# The same header of a request; this in it asks for the model to be loaded, and for nothing else.
WARM = "mmectl-warm"
_TYPES = {400: "BadRequestException", 406: "NotAcceptableException",
          415: "UnsupportedMediaTypeException"}  # fmt: skip


def respond(model: Loaded, request: Mapping[str, Any], index: int, context: Any) -> bytes:
    """Answer one request of a batch; the client's mistakes become its status and body."""
    try:
        headers = _headers(index, context)
        if WARM in str(headers.get(ATTRIBUTES.lower(), "")):
            kind, result = codecs.JSON, json.dumps({"model": model.name}).encode()
        else:
            body, content_type = body_of(request, headers)
            kind, result = model.respond(body, content_type, headers.get("accept"), context)
    except codecs.PayloadError as error:
        return _refusal(error, index, context)
    except EngineError as error:  # the server's own answer, "Prediction failed", tells nothing
        log.error("%s failed: %s", model.name, error)  # noqa: TRY400 - its text says all
        return _refusal(codecs.PayloadError(f"the model failed: {error}", 500), index, context)
    _set_temperature(model, index, context)
    context.set_response_content_type(index, kind)
    return result


def _refusal(error: codecs.PayloadError, index: int, context: Any) -> bytes:
    context.set_response_status(error.status, "", index)
    context.set_response_content_type(index, codecs.JSON)
    name = _TYPES.get(error.status, "InternalServerException")
    return json.dumps({"code": error.status, "type": name, "message": error.message}).encode()


def _set_temperature(model: Loaded, index: int, context: Any) -> None:
    first = model.cold.first()
    context.set_response_header(index, ATTRIBUTES, f"mmectl-cold={str(first).lower()}")
    if first:
        memory.give_back()


def _headers(index: int, context: Any) -> dict[str, Any]:
    """Collect the headers by lower-case name; those of a form's parts stand as mappings."""
    return {name.lower(): value for name, value in context.get_all_request_header(index).items()}


def body_of(request: Mapping[str, Any], headers: Mapping[str, Any]) -> tuple[bytes, str | None]:
    """Take the payload of a request, and its content type.

    The server calls a plain body "body" and gives its type as that part's; a multipart form
    sends parts by name, of which one is taken. A urlencoded form (curl's default type)
    arrives as nothing at all.
    """
    parts = {name: value for name, value in request.items() if value}
    if len(parts) > 1:
        raise codecs.PayloadError(f"send one part, not {len(parts)}: {', '.join(sorted(parts))}")
    if not parts:
        raise codecs.PayloadError(
            "the request has no body: send it with its own Content-Type, not as a form"
        )
    name, value = next(iter(parts.items()))
    part = headers.get(name.lower())
    content_type = part.get("content-type") if isinstance(part, Mapping) else None
    if isinstance(content_type, bytes):
        content_type = content_type.decode("latin-1")
    told = headers.get("content-type")
    if isinstance(told, str) and told != content_type and _kind(told) == _kind(content_type):
        content_type = told  # the server takes its parameters off: text/csv; header=present
    return (value.encode() if isinstance(value, str) else bytes(value)), content_type


def _kind(content_type: str | None) -> str:
    return media_types.media_type(content_type).kind
