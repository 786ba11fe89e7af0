"""The fake buckets of unit and functional tests, held to what the real one does."""

from __future__ import annotations

import pytest
from bucket_contract import BucketContract, StoreContract
from fakes.bucket import Memory
from fakes.s3 import FakeS3

from mmectl.aws.errors import translated
from mmectl.aws.s3 import S3Bucket


class TestMemory(StoreContract):
    """The store of uploads."""

    @pytest.fixture
    def store(self) -> Memory:
        return Memory()


class TestFakeS3(BucketContract):
    """The S3 client behind mmectl's own bucket."""

    @pytest.fixture
    def store(self) -> S3Bucket:
        return S3Bucket(FakeS3(), "bucket", translated)

    @pytest.fixture
    def missing(self) -> S3Bucket:
        return S3Bucket(FakeS3(), "nobody", translated)
