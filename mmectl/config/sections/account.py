"""`aws` and `bucket`: whose account, and where its models lie."""

from __future__ import annotations

from pydantic import Field

from mmectl.config.sections.section import Section


class Aws(Section):
    """Where and as whom."""

    region: str | None = Field(
        None, description="AWS region; null: AWS_REGION or the profile's, us-east-1 (local)"
    )
    profile: str | None = Field(None, description="profile of ~/.aws/config")
    role: str | None = Field(None, description="execution role, name or ARN; null: found")
    tags: dict[str, str] = Field({}, description="tags of everything that is created")


class Bucket(Section):
    """Where the models lie."""

    name: str | None = Field(None, description="null: sagemaker-<region>-<account>")
    prefix: str | None = Field(None, description="ends with '/'; null: <endpoint.name>/")
    kms_key: str | None = Field(
        None, description="KMS key of what is written there; null: the bucket's default"
    )
