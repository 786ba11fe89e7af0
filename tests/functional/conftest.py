"""Functional tests: botocore's Stubber behind the real clients, the CLI in one process."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import botocore
import pytest
from botocore.loaders import JSONFileLoader, Loader
from botocore.stub import Stubber

from mmectl.aws.session import Aws
from mmectl.base.values import Credentials


class SharedModels(JSONFileLoader):  # type: ignore[misc]
    """Parses each of botocore's own service models once for all sessions of a test process.

    Every command under test makes a session of its own; parsing was half of these tests' time.
    """

    def load_file(self, file_path: str) -> Any:
        """Load one file; what a test made itself is read anew."""
        own = file_path.startswith(botocore.BOTOCORE_ROOT)
        return _parsed(file_path) if own else super().load_file(file_path)


@functools.cache
def _parsed(file_path: str) -> Any:
    return JSONFileLoader().load_file(file_path)


@pytest.fixture(scope="session", autouse=True)
def shared_service_models() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "FILE_LOADER_CLASS", SharedModels)
        yield


@pytest.fixture
def aws():
    """A session that never reaches a network: every call must be stubbed."""
    return Aws(
        region="eu-central-1",
        endpoint_url="http://127.0.0.1:9",
        credentials=Credentials("AKIDEXAMPLE", "secret"),
    )


@pytest.fixture
def stub(aws):
    """`stub("iam")` gives the activated Stubber of a client; all answers must be used."""
    stubs: dict[str, Stubber] = {}

    def make(service: str) -> Stubber:
        if service not in stubs:
            stubs[service] = Stubber(aws.client(service))
            stubs[service].activate()
        return stubs[service]

    yield make
    for stubber in stubs.values():
        stubber.assert_no_pending_responses()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The working directory, with the configuration of the endpoint `demo` on the platform."""
    (tmp_path / "config.yaml").write_text("platform: local\nendpoint: {name: demo}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path
