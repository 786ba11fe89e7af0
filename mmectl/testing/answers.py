"""An endpoint under test, and what its models answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered: the bytes, their media type, and the variant that was asked."""

    body: bytes
    content_type: str
    variant: str

    @property
    def text(self) -> str:
        """The body as UTF-8; raises UnicodeDecodeError."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A deployed endpoint.

    `models` maps the name of each model that was uploaded to its TargetModel; all lie in `bucket`
    below `prefix`, which ends with ``/``. `config` names the endpoint configuration.
    """

    name: str
    bucket: str
    prefix: str
    config: str
    models: Mapping[str, str]
    client: Callable[..., Any] = field(repr=False, compare=False)

    def invoke(
        self,
        model: str,
        body: bytes | str | Path | Mapping[str, Any] | list[Any],
        *,
        content_type: str | None = None,
        accept: str | None = None,
        **members: Any,
    ) -> Answer:
        """Ask a model, by its name in `models` or by any TargetModel.

        `body`: bytes; a text; a file; or an object or array, sent as JSON. `content_type` None: by
        what the body is. `members` are others of InvokeEndpoint, such as ``InferenceId``. Raises
        botocore's ClientError, as an application meets it.
        """
        raw, kind = _sent(body)
        answer = self.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=self.name,
            TargetModel=self.models.get(model, model),
            ContentType=content_type or kind,
            Body=raw,
            **({"Accept": accept} if accept else {}),
            **members,
        )
        read = answer["Body"].read()
        return Answer(read, answer["ContentType"], answer["InvokedProductionVariant"])


def _sent(body: bytes | str | Path | Mapping[str, Any] | list[Any]) -> tuple[bytes, str]:
    """A body's bytes and media type."""
    from mmectl.invoke import content_type_of

    if isinstance(body, Path):
        raw = body.read_bytes()
        return raw, content_type_of(raw, body.name)
    if isinstance(body, bytes):
        return body, content_type_of(body, "")
    if isinstance(body, str):
        return body.encode(), "text/plain"
    return json.dumps(body).encode(), "application/json"
