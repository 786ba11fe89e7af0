"""The container API of a multi-model server, as SageMaker calls it.

Source: AWS's developer guide, "Build Your Own Container for Multi-Model Endpoints", and the
behaviour of Multi Model Server 1.1.11.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from mmectl.local.instance.http_client import Answer, Wire
from mmectl.local.values import InvokeRequest

_PAGES = 10_000


class Mms:
    """One server, at its socket or port.

    Every call returns the server's answer or raises WireError.
    """

    def __init__(self, listens: Path) -> None:
        self._wire = Wire(listens)

    async def ping(self, timeout: float = 2) -> Answer:
        """``GET /ping``: 200 whenever the server answers at all."""
        return await self._wire.request("GET", "/ping", timeout=timeout)

    async def load(self, name: str, url: str, timeout: float) -> Answer:
        """``POST /models``: 200, 409 loaded already, 507 no memory, 500 the handler failed."""
        body = json.dumps({"model_name": name, "url": url}).encode()
        return await self._wire.request(
            "POST",
            "/models",
            headers={"Content-Type": "application/json"},
            body=body,
            timeout=timeout,
        )

    async def unload(self, name: str, timeout: float = 30) -> Answer:
        """``DELETE /models/{name}``: 200, 404 not there."""
        return await self._wire.request("DELETE", f"/models/{quote(name, '')}", timeout=timeout)

    async def describe(self, name: str, timeout: float = 10) -> Answer:
        """``GET /models/{name}``: 200, 404 not there."""
        return await self._wire.request("GET", f"/models/{quote(name, '')}", timeout=timeout)

    async def models(self, timeout: float = 10) -> dict[str, str]:
        """``GET /models``, all pages: name to url. Raises ValueError for a bad answer.

        A full last page is followed by an empty one, and a token that does not move on would
        repeat a page for ever: both end the listing.
        """
        found: dict[str, str] = {}
        token = ""
        for _ in range(_PAGES):
            query = f"?next_page_token={quote(token, '')}" if token else ""
            answer = await self._wire.request("GET", f"/models{query}", timeout=timeout)
            if answer.status != 200:
                raise ValueError(f"GET /models answered {answer.status}")
            page = json.loads(answer.body)
            fresh = dict(_entries(page))
            following = str(page.get("nextPageToken") or "")
            if not fresh or fresh.keys() <= found.keys():
                break
            found |= fresh
            if not following or following == token:
                break
            token = following
        return found

    async def invoke(self, name: str, request: InvokeRequest, timeout: float) -> Answer:
        """``POST /models/{name}/invoke`` with the headers that SageMaker forwards."""
        return await self._wire.request(
            "POST",
            f"/models/{name}/invoke",
            headers=forwarded(request),
            body=request.body,
            timeout=timeout,
            group=name,
        )

    def abort(self, reason: str, name: str | None = None) -> int:
        """End the invocations of a model (None: every request) with AbortedError."""
        return self._wire.abort(reason, name)

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()


def _entries(page: object) -> Iterator[tuple[str, str]]:
    if not isinstance(page, dict) or not isinstance(page.get("models"), list):
        raise ValueError("GET /models did not answer with a list of models")  # noqa: TRY004
    for entry in page["models"]:
        yield str(entry["modelName"]), str(entry.get("modelUrl", ""))


def forwarded(request: InvokeRequest) -> dict[str, str]:
    """The headers of an invocation; a content type always, else the server guesses a form."""
    headers = {"Content-Type": request.content_type or "application/octet-stream"}
    if request.accept:
        headers["Accept"] = request.accept
    if request.custom_attributes:
        headers["X-Amzn-SageMaker-Custom-Attributes"] = request.custom_attributes
    if request.inference_id:
        headers["X-Amzn-SageMaker-Inference-Id"] = request.inference_id
    if request.target_model:
        headers["X-Amzn-SageMaker-Target-Model"] = in_header(request.target_model)
    return headers


def in_header(target: str) -> str:
    """The name of a model as a header has it, which is plain ASCII."""
    return quote(target, _HEADER_SAFE)


_HEADER_SAFE = "".join(map(chr, range(0x20, 0x7F)))
