"""A pytest plugin (``-p moto_shim``) that lets moto's tests run against another server.

MOTO's server mode resets its server by an address of its own; here all buckets are emptied.
Every service goes to SUITE_ENDPOINT, also where a test forgets to say so.
"""

from __future__ import annotations

import os
from typing import Any

from serve_s3 import KEYS

ENDPOINT = os.environ["SUITE_ENDPOINT"]
os.environ |= {
    "TEST_SERVER_MODE": "true",
    "TEST_SERVER_MODE_ENDPOINT": ENDPOINT,
    "AWS_ENDPOINT_URL": ENDPOINT,
    "AWS_ACCESS_KEY_ID": KEYS[0],
    "AWS_SECRET_ACCESS_KEY": KEYS[1],
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "1",
}


def _empty(client: Any, bucket: str) -> None:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])
    client.delete_bucket(Bucket=bucket)


def _reset(_mock: Any) -> None:
    from boto3.session import Session

    client = Session().client("s3", region_name="us-east-1")
    for bucket in client.list_buckets()["Buckets"]:
        _empty(client, bucket["Name"])


def _enable(mock: Any, reset: bool = True) -> None:
    if reset:
        try:
            mock.reset()
        except Exception as error:  # noqa: BLE001  # else every later test goes on without a server
            print("reset:", error)


def pytest_configure() -> None:
    """Put ours in the place of moto's."""
    from moto.core import models

    mock: Any = models.ServerModeMockAWS
    mock.reset, mock._enable_patching = _reset, _enable
    mock._disable_patching = mock._mock_env_variables = mock._unmock_env_variables = _nothing


def _nothing(_mock: Any, *_arguments: Any) -> None:
    """For what is not needed here: clients find the server by AWS_ENDPOINT_URL."""
