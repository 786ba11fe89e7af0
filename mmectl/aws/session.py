"""boto3 sessions and clients, with the user's AWS settings or the embedded platform's."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.utils import parse_timestamp

from mmectl.aws import buckets, roles, settings
from mmectl.aws.encryption import encrypt_writes
from mmectl.aws.errors import translated
from mmectl.aws.retries import ATTEMPTS, give_up_early
from mmectl.base.errors import ServiceError
from mmectl.base.values import Credentials, Identity


@dataclass(frozen=True, slots=True)
class Storage:
    """How the models' bucket is written to: its name (None: the usual one) and the KMS key.

    `tags` are those of a bucket that is created.
    """

    bucket: str | None = None
    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Aws:
    """A boto3 session for one account and region, and the clients made from it.

    `endpoint_url` and `credentials` are those of the embedded platform, else None.
    """

    def __init__(
        self,
        *,
        region: str | None,
        profile: str | None = None,
        endpoint_url: str | None = None,
        credentials: Credentials | None = None,
        storage: Storage | None = None,
    ) -> None:
        self._storage = storage or Storage()
        if credentials:
            self._inner = settings.isolated()
            self._session = _own_session(self._inner, region, credentials)
        else:
            self._inner = botocore.session.Session(profile=profile)
            self._session = _session(self._inner, region, profile)
        self._endpoint_url = endpoint_url
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()  # boto3's sessions make one client at a time
        self._bucket: str | None = None
        self._identity: Identity | None = None
        if self._session.region_name is None:
            raise ServiceError(
                "no AWS region", hint="set aws.region or AWS_REGION", code="no_region"
            )
        self.region: str = self._session.region_name

    @property
    def local(self) -> bool:
        """Whether this is the embedded platform."""
        return self._endpoint_url is not None

    def client(self, service: str, read_timeout: float = 60.0, region: str | None = None) -> Any:
        """A cached boto3 client; the runtime's has no retries (invoke has its own).

        Others ask ATTEMPTS times: SageMaker takes few calls a second of a whole account.

        `region` is another one than the session's.
        """
        key = f"{service} {region}" if region else service
        with self._making:
            if key not in self._clients:
                self._clients[key] = self._made(service, read_timeout, region)
        return self._clients[key]

    def _made(self, service: str, read_timeout: float, region: str | None) -> Any:
        with settings.named(f"cannot create a client for {service}", self._inner):
            client = self._session.client(
                service,
                region_name=region,
                endpoint_url=self._endpoint_url,
                config=self._client_config(service, read_timeout),
            )
        if service == "s3" and self._storage.kms_key:
            encrypt_writes(client, self._own_bucket, self._storage.kms_key)
        client.meta.events.register_first("needs-retry", give_up_early)
        return client

    def _client_config(self, service: str, read_timeout: float) -> Config:
        """Timeouts and retries; who has set AWS_MAX_ATTEMPTS knows better."""
        attempts = 1 if service == "sagemaker-runtime" else ATTEMPTS
        theirs = attempts > 1 and self._inner.get_config_variable("max_attempts") is not None
        return Config(
            connect_timeout=5,
            read_timeout=read_timeout,
            retries={"mode": "standard", **({} if theirs else {"total_max_attempts": attempts})},
            max_pool_connections=256,
            proxies={} if self.local else None,
        )

    def identity(self) -> Identity:
        """Who we are, from STS, which is asked once."""
        if self._identity is None:
            with translated("sts:GetCallerIdentity"):
                answer = self.client("sts").get_caller_identity()
            self._identity = Identity(answer["Account"], answer["Arn"], self.region)
        return self._identity

    def role(self, wanted: str | None) -> str:
        """The ARN of the execution role: given, of the SageMaker we run in, or found in IAM."""
        if not (wanted or self.local) and roles.in_sagemaker():
            return roles.role_of_sagemaker(self._session)
        return roles.execution_role(self, wanted)

    def bucket_name(self, wanted: str | None) -> str:
        """The given bucket, or the name that SageMaker's own tools use by default."""
        return wanted or f"sagemaker-{self.region}-{self.identity().account}"

    def _own_bucket(self) -> str:
        """The models' bucket, asked for once."""
        if self._bucket is None:
            self._bucket = self.bucket_name(self._storage.bucket)
        return self._bucket

    def bucket_exists(self, name: str) -> bool:
        """Whether the bucket is there for us; see `buckets`."""
        return buckets.bucket_exists(self, name)

    def ensure_bucket(self, name: str) -> bool:
        """Create the bucket if it is missing; True when it was created. Raises ServiceError."""
        return buckets.ensure_bucket(self, name, self._storage.tags)


def timestamp(value: Any) -> datetime:
    """Times as S3 and SageMaker write them, read without dateutil, which is slow."""
    if isinstance(value, str) and value.endswith("Z"):
        with suppress(ValueError):
            return datetime.fromisoformat(value[:-1]).replace(tzinfo=timezone.utc)
    found: datetime = parse_timestamp(value)
    return found


def _quick(session: botocore.session.Session) -> botocore.session.Session:
    factory = settings.StrictParsers()
    factory.set_parser_defaults(timestamp_parser=timestamp)
    session.register_component("response_parser_factory", factory)
    settings.list_quickly(session)
    return session


def _session(
    inner: botocore.session.Session, region: str | None, profile: str | None
) -> boto3.Session:
    """A session with the user's settings, its credentials found. Raises ServiceError."""
    with settings.named("aws.profile" if profile else "AWS settings", inner):
        wanted = region or os.environ.get("AWS_REGION")  # boto3 knows AWS_DEFAULT_REGION alone
        session = boto3.Session(
            region_name=wanted, profile_name=profile, botocore_session=_quick(inner)
        )
        inner.get_scoped_config()  # looks for the profile; else the first client would
        known = session.region_name
    if known is not None:
        settings.find_credentials(inner, interactive=_interactive())
    return session


def _interactive() -> bool:
    """Whether somebody can be asked, and sees what for."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _own_session(
    inner: botocore.session.Session, region: str | None, credentials: Credentials
) -> boto3.Session:
    """A session on which the user's own AWS settings have no say."""
    return boto3.Session(
        botocore_session=_quick(inner),
        region_name=region,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
    )
