"""The fake SageMaker of unit tests, held to what the real one does."""

from __future__ import annotations

from typing import Any

import pytest
from control_contract import ControlContract, plane
from fakes.sagemaker import Sagemaker

__all__ = ["plane"]


@pytest.fixture
def container() -> dict[str, Any]:
    return {"Image": "image", "Mode": "MultiModel", "ModelDataUrl": "s3://bucket/base/"}


@pytest.fixture
def bare() -> Sagemaker:
    return Sagemaker()


class TestFakeControl(ControlContract):
    """Every case."""
