"""A boto3 client as an application makes it, on which the user's own AWS settings have no say."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from mmectl.aws import settings
from mmectl.base.values import Credentials


def client(
    service: str, *, region: str, endpoint_url: str, credentials: Credentials, **options: Any
) -> Any:
    """``boto3.client(service, **options)`` for that address, past every proxy."""
    direct = Config(proxies={}).merge(options.pop("config", None) or Config())
    given = {
        "region_name": region,
        "endpoint_url": endpoint_url,
        "aws_access_key_id": credentials.access_key_id,
        "aws_secret_access_key": credentials.secret_access_key,
        **options,
    }
    session = boto3.session.Session(botocore_session=settings.isolated())
    return session.client(service, config=direct, **given)
