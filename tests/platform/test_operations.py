"""Every operation that AWS's services have is carried out or refused by name, never a fault.

The requests are botocore's own, with the smallest parameters that its service models allow.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from in_process import MINE, serving

from mmectl.local.compose import compose
from mmectl.local.control.patterns import matches
from mmectl.local.control.validate import service_model
from mmectl.local.record import Record

SERVICES = (
    "application-autoscaling",
    "cloudwatch",
    "ecr",
    "iam",
    "logs",
    "s3",
    "sagemaker",
    "sagemaker-runtime",
    "sts",
)
REFUSED = {"UnknownOperationException", "InvalidAction", "NotImplemented", "AccessDenied"}
TEXTS = (
    "a",
    "abc",
    "name-1",
    "123456789012",
    "arn:aws:iam::123456789012:role/name-role",
    "arn:aws:sagemaker:us-east-1:123456789012:endpoint/name",
    "arn:aws:logs:us-east-1:123456789012:log-group:name:*",
    "s3://bucket/key",
    "https://bucket.s3.amazonaws.com/key",
    "https://example.com/a.git",
    "ml.m5.large",
    "1.0",
    "1.0.0",
    "us-east-1",
    "us-east-1a",
    "subnet-0123456789abcdef0",
    "sg-0123456789abcdef0",
    "0123456789abcdef",
    "0" * 40,
    "0" * 64,
    "sha256:" + "0" * 64,
    "123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1",
    "/a",
    "{}",
    "a@example.com",
    "2026-01-01T00:00:00Z",
)


def text(shape):
    """A string that the shape allows; the first candidate where none is found."""
    rules = shape.metadata
    if rules.get("enum"):
        return rules["enum"][0]
    low, high = rules.get("min", 0), rules.get("max", 1 << 20)
    padded = [t + "a" * (low - len(t)) for t in TEXTS]
    fitting = [t for t in padded if low <= len(t) <= high]
    pattern = rules.get("pattern")
    return next((t for t in fitting if not pattern or matches(pattern, t)), fitting[0])


def smallest(shape, depth=0):
    """The smallest value of a shape; recursive shapes end after a few levels."""
    kind, low = shape.type_name, shape.metadata.get("min", 0)
    if kind == "structure":
        needed = shape.required_members
        if not needed and depth and shape.members:  # a union, or all optional
            needed = list(shape.members)[:1] if depth < 6 else []
        return {name: smallest(shape.members[name], depth + 1) for name in needed}
    if kind == "list":
        return [smallest(shape.member, depth + 1) for _ in range(max(low, 1))]
    if kind == "map":
        return {text(shape.key): smallest(shape.value, depth + 1)}
    if kind in ("integer", "long"):
        return int(max(low, min(1, shape.metadata.get("max", 1))))
    if kind in ("float", "double"):
        return float(max(low, 0))
    if kind == "string":
        return text(shape)
    return {"boolean": False, "timestamp": 1_700_000_000, "blob": b"a"}[kind]


class Faults(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.found = []

    def emit(self, record):
        if record.exc_info or record.levelno >= logging.ERROR:
            self.found.append(record.getMessage())


@pytest.fixture(scope="module")
def platform() -> Iterator[tuple]:
    """The real parts in a thread of this process, and what they log as faults."""
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    (folder / "local").mkdir()
    known = Record(0, "us-east-1", MINE.access_key_id, MINE.secret_access_key, runtime="process")
    parts, faults = compose(folder, known), Faults()
    logging.getLogger().addHandler(faults)
    with serving(parts.services, opening=parts.open, closing=parts.close) as connection:
        yield connection, faults
    logging.getLogger().removeHandler(faults)
    shutil.rmtree(folder)


def asked(client, name, params):
    """Status, code and message of an answer."""
    try:
        found = client._make_api_call(name, params)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status, error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    return found["ResponseMetadata"]["HTTPStatusCode"], "", ""


@pytest.mark.parametrize("service", SERVICES)
def test_every_operation_is_carried_out_or_refused_by_name(platform, client_for, service):
    connection, faults = platform
    faults.found.clear()
    config = Config(inject_host_prefix=False, parameter_validation=False)
    client = client_for(connection, service, config=config)
    model = service_model(service)
    wrong = []
    for name in model.operation_names:
        shape = model.operation_model(name).input_shape
        status, code, message = asked(client, name, smallest(shape) if shape else {})
        refused = code in REFUSED and (name in message or service == "s3")
        own = code not in {*REFUSED, "", "Unknown"} and 300 <= status < 500
        done = code == "" and status < 300
        if not (refused or own or done):
            wrong.append((name, status, code, message))
    assert wrong == []
    assert faults.found == []
