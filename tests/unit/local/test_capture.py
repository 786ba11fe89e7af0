"""Data capture: the configuration, the request, and what the embedded platform writes."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from mmectl.base.errors import ConfigError
from mmectl.config.advice import advice
from mmectl.config.loading import load
from mmectl.config.sections.settings import Settings
from mmectl.config.specification import specification
from mmectl.endpoint import plan
from mmectl.local.capture.lines import Event, folder, line, name
from mmectl.local.capture.service import Captures
from mmectl.local.values import AwsError, InvokeRequest, InvokeResponse
from mmectl.planning.observed import Observed
from mmectl.spec.desired import desired

MODELS = "s3://bucket/demo/"
NOON = 1_700_000_000.25  # 2023-11-14 22:13:20.25 UTC


def spec(**capture):
    settings = {"endpoint": {"name": "demo"}, "capture": {"enabled": True, **capture}}
    return specification(Settings.model_validate(settings), image="i", models=MODELS, role="r")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{enable: true}", "capture.enable: unknown key; did you mean 'enabled'?"),
        ("{percentage: 101}", "capture.percentage: is 101, must be 0 to 100"),
        ("{percentage: '20'}", "capture.percentage: is '20', must be a whole number"),
        ("{destination: bucket/x}", "must be s3://BUCKET/PREFIX; did you mean 's3://bucket/x'?"),
        ("{destination: 's3:/bucket'}", "did you mean 's3://bucket'?"),
        ("{destination: 's3://Bucket/x'}", "is 's3://Bucket/x', must be s3://BUCKET/PREFIX"),
        ("{part: outputs}", "capture.part: is 'outputs', must be 'both', 'input' or 'output'"),
        ("{part: outputs}", "did you mean 'output'?"),
        ("{csv_types: csv}", "capture.csv_types: is 'csv', must be a list"),
        ("{csv_types: [csv]}", "capture.csv_types.0: is 'csv', must match"),
        ("{json_types: ['application/json; charset=utf-8']}", "capture.json_types.0: is"),
        ("{kms_key: models}", "capture.kms_key: is 'models', must be a KMS key"),
    ],
)
def test_a_near_miss_is_named(tmp_path, text, said):
    path = tmp_path / "config.yaml"
    path.write_text(f"capture: {text}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environment={})
    assert said in caught.value.message


def test_what_is_switched_off_changes_nothing():
    off = specification(Settings(), image="i", models=MODELS, role="r")
    set_up = Settings.model_validate({"capture": {"percentage": 5, "kms_key": "alias/x"}})
    assert desired(specification(set_up, image="i", models=MODELS, role="r")) == desired(off)
    assert "DataCaptureConfig" not in desired(off).config_request


def test_the_configuration_asks_for_it():
    request = desired(spec()).config_request["DataCaptureConfig"]
    assert request == {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://bucket/data-capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {
            "CsvContentTypes": ["text/csv"],
            "JsonContentTypes": ["application/json"],
        },
    }
    few = spec(percentage=5, part="input", kms_key="alias/x", csv_types=(), json_types=())
    request = desired(few).config_request["DataCaptureConfig"]
    assert request["CaptureOptions"] == [{"CaptureMode": "Input"}]
    assert request["KmsKeyId"] == "alias/x"
    assert "CaptureContentTypeHeader" not in request


def test_the_key_of_the_bucket_is_that_of_what_is_captured_there():
    some: dict[str, Any] = {"bucket": {"kms_key": "alias/b"}, "capture": {"enabled": True}}
    where = {"image": "i", "models": MODELS, "role": "r"}
    assert specification(Settings.model_validate(some), **where).capture.kms_key == "alias/b"
    some["capture"] |= {"destination": "s3://other/x"}
    assert specification(Settings.model_validate(some), **where).capture.kms_key is None


def test_the_plan_tells_where_to_and_the_warning_what_stops_it():
    config = plan(desired(spec(percentage=20)), Observed())[1]
    assert config.why == "new content, captures 20 % to s3://bucket/data-capture"
    (warning,) = advice(Settings.model_validate({"capture": {"enabled": True}}))
    assert "while a disk is more than 75 % full" in warning


@pytest.mark.parametrize(
    ("destination", "bad"),
    [
        ("s3://bucket/demo", True),
        ("s3://bucket/demo/captured/", True),
        ("s3://bucket", True),
        ("s3://bucket/demo2", False),
        ("s3://other/demo", False),
    ],
)
def test_what_is_captured_does_not_lie_among_the_models(destination, bad):
    if not bad:
        assert spec(destination=destination).capture is not None
        return
    with pytest.raises(ConfigError, match="lies under s3://bucket/demo/, among the models"):
        spec(destination=destination)


CONFIG = desired(spec()).config_request["DataCaptureConfig"]
ASKED = InvokeRequest(b"1,2", "text/csv", inference_id="order-1")
ANSWERED = InvokeResponse(b'{"a":1}', "application/json; charset=utf-8", "AllTraffic")
EVENT = Event("e-1", NOON, ASKED, ANSWERED)


def test_a_line_is_sagemakers():
    assert json.loads(line(CONFIG, EVENT)) == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv",
                "mode": "INPUT",
                "data": "1,2",
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": "application/json; charset=utf-8",
                "mode": "OUTPUT",
                "data": '{"a":1}',
                "encoding": "JSON",
            },
        },
        "eventMetadata": {
            "eventId": "e-1",
            "inferenceTime": "2023-11-14T22:13:20Z",
            "inferenceId": "order-1",
        },
        "eventVersion": "0",
    }
    assert line(CONFIG, EVENT).endswith("}\n")


@pytest.mark.parametrize(("kind", "body"), [("image/png", b"\x89PNG"), ("text/csv", b"\xff")])
def test_what_is_no_such_text_is_base64(kind, body):
    event = replace(EVENT, request=InvokeRequest(body, kind))
    found = json.loads(line(CONFIG, event))["captureData"]["endpointInput"]
    assert found["encoding"] == "BASE64"
    assert base64.b64decode(found["data"]) == body


def test_one_part_alone():
    only = {**CONFIG, "CaptureOptions": [{"CaptureMode": "Output"}]}
    assert list(json.loads(line(only, EVENT))["captureData"]) == ["endpointOutput"]


def test_the_files_lie_by_endpoint_variant_and_hour():
    found = folder(CONFIG, "demo", "AllTraffic", NOON)
    assert found == ("bucket", "data-capture/demo/AllTraffic/2023/11/14/22/")
    assert name(NOON, "u") == "13-20-250-u.jsonl"
    root = {**CONFIG, "DestinationS3Uri": "s3://bucket"}
    assert folder(root, "d", "v", NOON) == ("bucket", "d/v/2023/11/14/22/")


class Written:
    def __init__(self, fails: bool = False) -> None:
        self.objects, self.fails = [], fails

    async def __call__(self, bucket, key, body, kms_key):
        if self.fails:
            raise AwsError("NoSuchBucket", "no", 404)
        self.objects.append((bucket, key, body, kms_key))


def captured(written: Written, config, *, times: int = 1, chances=(0.0,)) -> None:
    chance = iter(chances * times)

    async def run() -> None:
        captures = Captures(written, clock=lambda: NOON, chance=lambda: next(chance), pause=60)
        for _ in range(times):
            captures.note("demo", config, ASKED, ANSWERED)
        await captures.close()

    asyncio.run(run())


def test_what_is_noted_is_one_object_at_the_end():
    written = Written()
    captured(written, {**CONFIG, "KmsKeyId": "alias/x"}, times=3)
    ((bucket, key, body, kms_key),) = written.objects
    assert (bucket, body.count(b"\n"), kms_key) == ("bucket", 3, "alias/x")
    assert key.startswith("data-capture/demo/AllTraffic/2023/11/14/22/13-20-250-")


def test_a_percentage_is_a_chance():
    written = Written()
    captured(written, {**CONFIG, "InitialSamplingPercentage": 50}, times=2, chances=(0.49, 0.5))
    assert written.objects[0][2].count(b"\n") == 1
    none = Written()
    captured(none, {**CONFIG, "InitialSamplingPercentage": 0}, times=2)
    assert none.objects == []


def test_what_cannot_be_written_is_dropped():
    captured(Written(fails=True), CONFIG)
