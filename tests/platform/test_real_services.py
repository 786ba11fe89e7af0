"""The embedded platform's S3, SageMaker and ECR, held to the contracts of the fakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bucket_contract import BucketContract
from control_contract import ControlContract, plane
from instant_image import REFERENCE, fake_image
from registry_contract import RegistryContract

from mmectl.aws.errors import translated
from mmectl.aws.s3 import S3Bucket
from mmectl.aws.sagemaker import Sagemaker
from mmectl.aws.session import Aws
from mmectl.images.ecr import Ecr
from mmectl.local.client.platform import Connection

__all__ = ["plane"]


class TestS3(BucketContract):
    """mmectl's own bucket over boto3."""

    @pytest.fixture
    def store(self, s3, bucket: str) -> S3Bucket:
        return S3Bucket(s3, bucket, translated)

    @pytest.fixture
    def missing(self, s3) -> S3Bucket:
        return S3Bucket(s3, "there-is-no-such-bucket", translated)


@pytest.fixture(scope="module")
def bare(connection: Connection, state_dir: Path) -> Sagemaker:
    fake_image(state_dir)
    return Sagemaker(
        Aws(
            region=connection.region,
            endpoint_url=connection.endpoint_url,
            credentials=connection.credentials,
        )
    )


@pytest.fixture
def container(s3, bucket: str) -> dict[str, Any]:
    s3.put_object(Bucket=bucket, Key="base/model.tar.gz", Body=b"any")
    return {"Image": REFERENCE, "Mode": "MultiModel", "ModelDataUrl": f"s3://{bucket}/base/"}


class TestSagemaker(ControlContract):
    """mmectl's own adapter over boto3."""


class TestEcr(RegistryContract):
    """The registry that the platform answers with is moto's."""

    @pytest.fixture
    def ecr(self, clients, bucket: str) -> Ecr:
        return Ecr(clients("ecr"), translated, bucket)
