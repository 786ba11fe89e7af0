"""The fake ECR of unit tests, held to what the embedded platform's does."""

from __future__ import annotations

import pytest
from fakes.registry import EcrClient, translated
from registry_contract import RegistryContract

from mmectl.images.ecr import Ecr


class TestFakeRegistry(RegistryContract):
    """Every case."""

    @pytest.fixture
    def ecr(self) -> Ecr:
        return Ecr(EcrClient(), translated, "repository")
