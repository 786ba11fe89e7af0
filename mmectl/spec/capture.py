"""Data capture: requests and answers that SageMaker writes into a bucket, as DataCaptureConfig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Part = Literal["both", "input", "output"]
_MODES: Mapping[Part, tuple[str, ...]] = {
    "both": ("Input", "Output"),
    "input": ("Input",),
    "output": ("Output",),
}
FOLDER = "data-capture"  # in the models' bucket, where no destination is named


@dataclass(frozen=True, slots=True)
class Capture:
    """What is written where; bodies of other content types are written in base64."""

    destination: str
    percentage: int = 100
    part: Part = "both"
    kms_key: str | None = None
    csv_types: tuple[str, ...] = ()
    json_types: tuple[str, ...] = ()


def data_capture_config(capture: Capture) -> dict[str, Any]:
    """An endpoint configuration's `DataCaptureConfig`."""
    types = {"CsvContentTypes": capture.csv_types, "JsonContentTypes": capture.json_types}
    headers = {name: list(given) for name, given in types.items() if given}
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": capture.percentage,
        "DestinationS3Uri": capture.destination,
        "CaptureOptions": [{"CaptureMode": mode} for mode in _MODES[capture.part]],
        **({"KmsKeyId": capture.kms_key} if capture.kms_key else {}),
        **({"CaptureContentTypeHeader": headers} if headers else {}),
    }


def words(request: Mapping[str, Any]) -> list[str]:
    """A configuration request's capture for people, such as ``captures 20 % to s3://...``."""
    found = request.get("DataCaptureConfig")
    if found is None:
        return []
    return [f"captures {found['InitialSamplingPercentage']} % to {found['DestinationS3Uri']}"]


def among_models(destination: str, endpoint: str, models: str) -> bool:
    """Whether what an endpoint captures would lie among models; both are ``s3://`` URLs."""
    return f"{destination.rstrip('/')}/{endpoint}/".startswith(models)
