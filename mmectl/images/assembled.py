"""A context with the handler in it, as a folder: what engines and CodeBuild build from."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mmectl.base.errors import BuildError
from mmectl.images import context, handler
from mmectl.images.values import BuildRequest


@contextlib.contextmanager
def assembled(request: BuildRequest) -> Iterator[BuildRequest]:
    """The same request, of a folder that has everything in it; it is removed in the end.

    Raises BuildError where the handler was changed since its digest was made.
    """
    own = request.contents.handler
    if own is None:
        yield request
        return
    with tempfile.TemporaryDirectory(prefix="mmectl-") as name:
        folder = Path(name, "context")
        context.copy(context.entries(request.context, request.contents), folder)
        copied = {name: folder / handler.PLACE / name for name in own.files}
        if handler.digest_of(copied) != own.digest:
            raise BuildError(
                "the folder of image.handler changed while it was read",
                hint="mmectl build",
                code="changed",
            )
        yield dataclasses.replace(request, context=folder)
