"""The lines and keys of captured requests, as SageMaker writes them; pure.

Source: SageMaker developer guide, model-monitor-data-capture-endpoint ("View captured data").
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from mmectl.local.values import InvokeRequest, InvokeResponse

Config = Mapping[str, Any]
_HEADERS = {"CsvContentTypes": "CSV", "JsonContentTypes": "JSON"}


@dataclass(frozen=True, slots=True)
class Event:
    """One request that was answered; `time` in epoch seconds."""

    id: str
    time: float
    request: InvokeRequest
    response: InvokeResponse


def line(config: Config, event: Event) -> str:
    """The line of an event, with what its DataCaptureConfig asks for."""
    modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
    data = {}
    if modes & {"Input", "InputAndOutput"}:
        kind, body = event.request.content_type or "", event.request.body
        data["endpointInput"] = _body(config, "INPUT", kind, body)
    if modes & {"Output", "InputAndOutput"}:
        kind, body = event.response.content_type, event.response.body
        data["endpointOutput"] = _body(config, "OUTPUT", kind, body)
    about = {"eventId": event.id, "inferenceTime": _utc(event.time).strftime("%Y-%m-%dT%H:%M:%SZ")}
    if event.request.inference_id is not None:
        about["inferenceId"] = event.request.inference_id
    made = {"captureData": data, "eventMetadata": about, "eventVersion": "0"}
    return json.dumps(made, separators=(",", ":"), ensure_ascii=False) + "\n"


def _body(config: Config, mode: str, kind: str, body: bytes) -> dict[str, str]:
    encoding, data = _encoded(config, kind, body)
    return {"observedContentType": kind, "mode": mode, "data": data, "encoding": encoding}


def _encoded(config: Config, kind: str, body: bytes) -> tuple[str, str]:
    """CSV or JSON as text where the configuration names the content type, else base64."""
    plain = kind.partition(";")[0].strip().lower()
    for member, encoding in _HEADERS.items():
        types = config.get("CaptureContentTypeHeader", {}).get(member, ())
        if plain in (one.lower() for one in types):
            try:
                return encoding, body.decode()
            except UnicodeDecodeError:
                break
    return "BASE64", base64.b64encode(body).decode()


def folder(config: Config, endpoint: str, variant: str, time: float) -> tuple[str, str]:
    """Bucket, and the folder of an hour: ``<prefix>/<endpoint>/<variant>/yyyy/mm/dd/hh/``."""
    bucket, prefix = destination(config["DestinationS3Uri"])
    hour = _utc(time).strftime("%Y/%m/%d/%H")
    return bucket, f"{prefix}{endpoint}/{variant}/{hour}/"


def destination(uri: str) -> tuple[str, str]:
    """Bucket and prefix of an ``s3://`` URI; the prefix ends with '/' or is empty."""
    bucket, _, path = uri.removeprefix("s3://").partition("/")
    path = path.strip("/")
    return bucket, f"{path}/" if path else ""


def name(time: float, unique: str) -> str:
    """A file's name within its hour."""
    moment = _utc(time)
    return f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{unique}.jsonl"


def _utc(time: float) -> datetime:
    return datetime.fromtimestamp(time, timezone.utc)
