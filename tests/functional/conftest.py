"""Functional tests: botocore's Stubber behind the real clients, the CLI in one process."""

from __future__ import annotations

import pytest
from botocore.stub import Stubber

from mmectl.aws.session import Aws
from mmectl.base.values import Credentials


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
