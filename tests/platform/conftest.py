"""One running platform for the whole session, and clients for it."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from serving_fixtures import serving_image

from mmectl.local import processes
from mmectl.local.client import platform
from mmectl.local.client.platform import Connection

__all__ = ["serving_image"]  # built once for all
Clients = Callable[..., Any]


def client_of(connection: Connection, service: str, **options: Any) -> Any:
    """A boto3 client for a platform; retries are off, so that nothing is hidden."""
    config = Config(retries={"total_max_attempts": 1}).merge(
        options.pop("config", None) or Config()
    )
    return boto3.client(
        service,
        endpoint_url=connection.endpoint_url,
        region_name=options.pop("region_name", connection.region),
        aws_access_key_id=connection.credentials.access_key_id,
        aws_secret_access_key=connection.credentials.secret_access_key,
        config=config,
        **options,
    )


@pytest.fixture(scope="session")
def client_for() -> Clients:
    """``client_for(connection, "s3")`` is a boto3 client of any platform."""
    return client_of


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A temporary folder with a short path: Unix sockets lie below it."""
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def state_dir() -> Iterator[Path]:
    """The project state of the session's platform; a serving environment may be put into it."""
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    yield folder / ".mmectl"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def connection(state_dir: Path) -> Iterator[Connection]:
    """A running platform; in the end it is stopped and nothing of it may be left."""
    running = platform.start(state_dir, region="us-east-1")
    yield running
    assert platform.stop(state_dir)
    assert processes.marked(state_dir.resolve()) == []


@pytest.fixture(scope="session")
def clients(connection: Connection) -> Clients:
    """``clients("s3")`` is a boto3 client of the session's platform."""
    return lambda service, **options: client_of(connection, service, **options)


@pytest.fixture(scope="module")
def s3(clients):
    return clients("s3")


@pytest.fixture
def bucket(s3):
    name = f"b-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name
