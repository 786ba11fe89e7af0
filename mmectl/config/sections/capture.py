"""`capture`: what is kept of requests and answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mmectl.config.sections.section import Section
from mmectl.spec import capture


class Capture(Section):
    """Requests and answers that SageMaker writes into a bucket."""

    enabled: bool = Field(False, description="true: requests are captured")
    percentage: int = Field(100, description="percent of the requests")
    destination: str | None = Field(
        None, description="s3://bucket/prefix; null: data-capture/ in the models' bucket"
    )
    part: Literal["both", "input", "output"] = Field("both", description="what of each request")
    kms_key: str | None = Field(
        None, description="KMS key of the files; null: bucket.kms_key there"
    )
    csv_types: tuple[str, ...] = Field(
        ("text/csv",), strict=False, max_length=10, description="content types written as CSV"
    )
    json_types: tuple[str, ...] = Field(
        ("application/json",),
        strict=False,
        max_length=10,
        description="content types written as JSON; all others in base64",
    )

    def as_capture(self, bucket: str, key: str | None) -> capture.Capture | None:
        """The capture as `endpoint` wants it; bucket and KMS key are those of the models."""
        if not self.enabled:
            return None
        key = None if self.destination else key
        return capture.Capture(
            self.destination or f"s3://{bucket}/{capture.FOLDER}",
            self.percentage,
            self.part,
            self.kms_key or key,
            self.csv_types,
            self.json_types,
        )
