"""An application with an endpoint: it names what is on a customer's picture."""

from __future__ import annotations

import json
import os

import boto3
from botocore.exceptions import ClientError


def named(picture: bytes, tries: int = 3) -> str | None:
    """The class that the model gives a JPEG; None where it has no answer just now."""
    runtime = boto3.client("sagemaker-runtime")
    name = os.environ.get("SHOP_ENDPOINT", "shop")
    for _ in range(tries):
        try:
            answer = runtime.invoke_endpoint(
                EndpointName=name,
                TargetModel="shapes.tar.gz",
                ContentType="image/jpeg",
                Body=picture,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("ModelError", "ModelNotReadyException"):
                raise
        else:
            best: str = json.load(answer["Body"])[0]
            return best.partition("class=")[2]
    return None
