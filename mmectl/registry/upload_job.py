"""One upload: what is asked for, what became of it, and the job under way between both."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmectl.archive import pack
from mmectl.archive.compression import Compression
from mmectl.base.errors import Interrupted, UsageError
from mmectl.base.values import Event, Location, Report
from mmectl.frameworks.base import Signature
from mmectl.frameworks.detect import Rest
from mmectl.registry import signatures
from mmectl.registry.names import (
    DIGEST,
    FRAMEWORK,
    MODEL,
    SIGNATURE,
    SIZE,
    UNTRAINED,
    check_folder,
    check_name,
)
from mmectl.registry.store import Store
from mmectl.registry.upload_cache import UploadCache

MAX_COPIES = 10_000


@dataclass(frozen=True, slots=True)
class Upload:
    """One model to upload: `folder` as `name`, below `to`, `copies` times as name_0, name_1, ...

    `tarball` is where the folder was unpacked from, if it was. `framework` names the one that the
    model is for, where its files do not tell. `served` are those of the endpoint's image; None:
    unknown. `compression` says which files are compressed. `rest`: what the image does with models
    that name no framework. `allowed`: the configuration lets the endpoint run code.
    """

    name: str
    folder: Path
    to: str = ""
    copies: int | None = None
    untrained: bool = False
    allow_code: bool = False
    tarball: str | None = None
    framework: str | None = None
    served: tuple[str, ...] | None = None
    compression: Compression = "auto"
    rest: Rest = Rest.NONE
    allowed: bool = False

    def names(self) -> tuple[str, ...]:
        """The names that it gets, each with its folder; raises UsageError for a bad one."""
        folder = check_folder(self.to)
        check_name(self.name)
        if self.copies is None:
            return (folder + self.name,)
        if not 1 <= self.copies <= MAX_COPIES:
            raise UsageError(f"--copies {self.copies}: from 1 to {MAX_COPIES:,}", code="bad_value")
        return tuple(f"{folder}{self.name}_{number}" for number in range(self.copies))


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of an upload.

    `target_models` has one entry for each name; `created` those that are new (the first of them
    uploaded, or all copied on the server where the content was there). `digest` is of the content,
    `size` the content's bytes, `packed` the bytes sent (0: none). `stored` are those of files that
    were not compressed, and `larger` an estimate of the bytes that were sent more for that.
    """

    name: str
    action: Literal["uploaded", "unchanged"]
    target_models: tuple[str, ...]
    created: tuple[str, ...]
    digest: str
    size: int
    packed: int
    untrained: bool
    framework: str
    stored: int = 0
    larger: int = 0


def interrupted(name: str) -> Interrupted:
    """The error of an upload that was cancelled."""
    return Interrupted(f"{name}: upload interrupted: nothing of it is visible")


@dataclass(frozen=True, slots=True)
class Job:
    """One upload under way, with what every step of it needs."""

    bucket: Store
    location: Location
    request: Upload
    files: tuple[pack.Member, ...]
    digest: str
    framework: str
    signature: Signature | None
    report: Report
    cancelled: threading.Event
    upload_cache: UploadCache

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return sum(member.size for member in self.files)

    def place(self, name: str) -> str:
        """Where the name's versions lie, for the upload_cache."""
        return f"{self.location.bucket}/{self.location.key(name)}"

    def check(self) -> None:
        """Raise Interrupted once it is cancelled."""
        if self.cancelled.is_set():
            raise interrupted(self.request.name)

    def progress(self, done: int) -> None:
        """Tell how many bytes of the content are sent; raises Interrupted."""
        self.check()
        self.report(Event("progress", self.request.name, "upload", done, self.size))

    def metadata(self, name: str) -> dict[str, str]:
        """The metadata of the object under that name."""
        about = {DIGEST: self.digest, MODEL: name, SIZE: str(self.size)}
        about[FRAMEWORK] = self.framework
        if self.signature is not None:
            about[SIGNATURE] = signatures.encode(self.signature)
        return about | ({UNTRAINED: "true"} if self.request.untrained else {})

    def uploaded(
        self, targets: tuple[str, ...], created: tuple[str, ...], sent: pack.Packed | None = None
    ) -> Uploaded:
        """What became of it: all its versions, those that are new, and what was sent for them."""
        return Uploaded(
            name=self.request.name,
            action="uploaded" if created else "unchanged",
            target_models=targets,
            created=created,
            digest=self.digest,
            size=self.size,
            packed=sent.packed if sent else 0,
            untrained=self.request.untrained,
            framework=self.framework,
            stored=sent.stored if sent else 0,
            larger=sent.larger if sent else 0,
        )
