"""Functional tests: botocore's Stubber behind the real clients, the CLI in one process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.loaders import Loader
from botocore.stub import Stubber
from service_models import SharedModels

from mmectl.aws.session import Aws
from mmectl.base.values import Credentials


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
