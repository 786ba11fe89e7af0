"""What SageMaker's inference toolkit reads and writes where a script does not do it itself."""

from __future__ import annotations

import io
import json
from typing import Any

from runtimes.values import RequestError

CSV, JSON, NPY, ANY = "text/csv", "application/json", "application/x-npy", "*/*"
TEXT = (CSV, JSON)


def decoded(body: str | bytes, content_type: str | None) -> Any:
    """An array of a request; no pickles. Raises RequestError 415, 400."""
    import numpy as np

    text = body if isinstance(body, str) else ""
    try:
        if content_type == JSON:
            return np.array(json.loads(text))
        if content_type == CSV:
            return np.genfromtxt(io.StringIO(text), delimiter=",")
        if content_type == NPY and isinstance(body, bytes):
            return np.load(io.BytesIO(body), allow_pickle=False)
    except ValueError as error:
        raise RequestError(f"the body is no {content_type}: {error}") from None
    raise RequestError(
        f"content type {content_type!r} is not supported: send {CSV}, {JSON}, {NPY}", 415
    )


def encoded(prediction: Any, accept: str) -> Any:
    """An answer in the type that was asked for. Raises RequestError 406."""
    import numpy as np

    if accept == JSON:
        return json.dumps(prediction.tolist() if hasattr(prediction, "tolist") else prediction)
    if accept == CSV:
        stream = io.StringIO()
        np.savetxt(stream, np.asarray(prediction), delimiter=",", fmt="%s")
        return stream.getvalue()
    if accept == NPY:
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(prediction), allow_pickle=False)
        return buffer.getvalue()
    raise RequestError(f"no {accept!r} can be answered: ask for {CSV}, {JSON}, {NPY}", 406)
