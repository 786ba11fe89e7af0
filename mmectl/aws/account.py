"""An account as the rest of mmectl sees it: AWS's, or the embedded platform's."""

from __future__ import annotations

from typing import Any, Protocol

from mmectl.base.values import Identity


class Account(Protocol):
    """One account in one region; see `session.Aws`. Every call may raise ServiceError."""

    region: str

    def client(self, service: str, read_timeout: float = 60.0, region: str | None = None) -> Any:
        """A boto3 client; `read_timeout` in seconds, `region` where it is another one."""
        ...

    def identity(self) -> Identity:
        """Who we are."""
        ...

    def role(self, wanted: str | None) -> str:
        """The ARN of the execution role: the wanted one, or one that is found."""
        ...

    def bucket_name(self, wanted: str | None) -> str:
        """The wanted bucket, or the one that SageMaker's own tools use by default."""
        ...

    def bucket_exists(self, name: str) -> bool:
        """Whether the bucket is there for us."""
        ...

    def ensure_bucket(self, name: str) -> bool:
        """Create the bucket if it is missing; True when it was created."""
        ...
