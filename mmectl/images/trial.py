"""How far an image is tried before it serves, and with which model and request."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from mmectl.archive.unpack import UnpackError, unpack
from mmectl.base.errors import BuildError
from mmectl.frameworks import detect
from mmectl.frameworks.base import Sample
from mmectl.images import asking
from mmectl.images.context import DEFAULT_FRAMEWORKS
from mmectl.invoke import content_type_of


@dataclass(frozen=True, slots=True)
class Trial:
    """`level` is off, ping, load or invoke; each does what the one before it does.

    `model` is a folder or a .tar.gz, `body` a file; None is mmectl's own model of each of the
    `frameworks`, and a request to it. `expect` is a text that the answer has in it; None takes any,
    but what mmectl's own handler answers about mmectl's own models has to be right.
    """

    level: str = "invoke"
    model: Path | None = None
    body: Path | None = None
    content_type: str | None = None
    accept: str | None = None
    expect: str | None = None
    frameworks: tuple[str, ...] = DEFAULT_FRAMEWORKS

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
        words: list[object] = [self.level, self.content_type, self.accept, self.expect, files]
        words += [self.frameworks] if self.frameworks != DEFAULT_FRAMEWORKS else []
        return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]

    def stage(self, folder: Path) -> None:
        """Put model, body and what is asked into `folder`, named as in `asking`.

        Raises BuildError for files that cannot be read.
        """
        first, *others = self._samples()
        try:
            self._model(folder / asking.MODEL, first)
            body = self.body.read_bytes() if self.body else first.body
        except OSError as error:
            raise BuildError(
                f"the request of the smoke test cannot be read: {error}",
                hint="correct build.smoke_model and build.smoke_body",
                code="smoke_model",
            ) from error
        (folder / asking.BODY).write_bytes(body)
        own = first.content_type if self.body is None else content_type_of(body, self.body.name)
        kind = self.content_type or own
        headers = {"Content-Type": kind}
        accept = self.accept or (None if self.body else "application/json")
        if accept:
            headers["Accept"] = accept
        ours = first.expect if self.body is None and self.model is None else ""
        asked: dict[str, object] = {
            "level": self.level,
            "headers": headers,
            "expect": self.expect or ours or None,
        }
        if others and self.model is None and self.body is None:
            asked["more"] = [_staged(folder, n, one) for n, one in enumerate(others, 1)]
        (folder / asking.ASKED).write_text(json.dumps(asked), "utf-8")

    def _samples(self) -> list[Sample]:
        """Our own models; that of the first framework that has one, where none of these has."""
        names = (*self.frameworks, *DEFAULT_FRAMEWORKS)
        found = [made for name in self.frameworks if (made := detect.named(name).sample())]
        return found or [made for name in names if (made := detect.named(name).sample())]

    def _model(self, target: Path, sample: Sample) -> None:
        if self.model is None:
            sample.write(target)
        elif self.model.is_dir():
            shutil.copytree(self.model, target)
        else:
            try:
                unpack(self.model, target)
            except UnpackError as error:
                raise BuildError(
                    f"build.smoke_model: {self.model} cannot be unpacked: {error}",
                    hint="name a model's folder, or its .tar.gz",
                    code="smoke_model",
                ) from error


def _staged(folder: Path, number: int, sample: Sample) -> dict[str, object]:
    """A further model beside the first, and what it is asked."""
    name = f"{asking.MODEL}-{number}"
    sample.write(folder / name)
    headers = {"Content-Type": sample.content_type, "Accept": "application/json"}
    body = base64.b64encode(sample.body).decode()
    return {"model": name, "body": body, "headers": headers, "expect": sample.expect or None}


def _stamps(path: Path) -> list[object]:
    """Name, size and time of a file, or of each file of a folder."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    try:
        return [[str(one), one.stat().st_size, one.stat().st_mtime_ns] for one in found]
    except OSError:  # it is missing; `stage` says so
        return [str(path)]
