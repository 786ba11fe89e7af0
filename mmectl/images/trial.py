"""How far an image is tried before it serves, and with which model and request."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from mmectl.archive.unpack import UnpackError, unpack
from mmectl.base.errors import BuildError
from mmectl.images import asking
from mmectl.images.sample import picture, write_model
from mmectl.invoke import content_type_of


@dataclass(frozen=True, slots=True)
class Trial:
    """`level` is off, ping, load or invoke; each does what the one before it does.

    `model` is a folder or a .tar.gz, `body` a file; None is mmectl's own model, and a picture
    for it. `expect` is a text that the answer has in it; None takes any, but what mmectl's own
    handler answers about mmectl's own picture has to be right.
    """

    level: str = "invoke"
    model: Path | None = None
    body: Path | None = None
    content_type: str | None = None
    accept: str | None = None
    expect: str | None = None

    @property
    def wanted(self) -> bool:
        """Whether anything is tried at all."""
        return self.level != "off"

    @property
    def hint(self) -> str:
        """What to do where it failed."""
        fix = "fix what the lines above say and build again"
        if self.level == "ping" or self.model or self.body:
            return fix
        return (
            f"{fix}; a handler of other models is tried with build.smoke_model and "
            "build.smoke_body, or no further than build.smoke_test: ping"
        )

    def key(self) -> str:
        """Changes with what is tried; files count by size and time."""
        files = [_stamps(path) if path else None for path in (self.model, self.body)]
        words = [self.level, self.content_type, self.accept, self.expect, files]
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]

    def stage(self, folder: Path) -> None:
        """Put model, body and what is asked into `folder`, named as in `asking`.

        Raises BuildError for files that cannot be read.
        """
        try:
            self._model(folder / asking.MODEL)
            body = self.body.read_bytes() if self.body else picture()
        except OSError as error:
            raise BuildError(
                f"the request of the smoke test cannot be read: {error}",
                hint="correct build.smoke_model and build.smoke_body",
            ) from error
        (folder / asking.BODY).write_bytes(body)
        kind = self.content_type or content_type_of(body, self.body.name if self.body else "")
        headers = {"Content-Type": kind}
        accept = self.accept or (None if self.body else "application/json")
        if accept:
            headers["Accept"] = accept
        asked = {"level": self.level, "headers": headers, "expect": self.expect}
        (folder / asking.ASKED).write_text(json.dumps(asked), "utf-8")

    def _model(self, target: Path) -> None:
        if self.model is None:
            write_model(target)
        elif self.model.is_dir():
            shutil.copytree(self.model, target)
        else:
            try:
                unpack(self.model, target)
            except UnpackError as error:
                raise BuildError(
                    f"build.smoke_model: {self.model} cannot be unpacked: {error}",
                    hint="name a model's folder, or its .tar.gz",
                ) from error


def _stamps(path: Path) -> list[object]:
    """Name, size and time of a file, or of each file of a folder."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    try:
        return [[str(one), one.stat().st_size, one.stat().st_mtime_ns] for one in found]
    except OSError:  # it is missing; `stage` says so
        return [str(path)]
