"""Fetch trained networks of the MXNet model zoo, or of a mirror of it, verified and cached.

Addresses are relative to a base URL (``http``, ``https`` or ``file``); the checksums are the
zoo's own. A download that was cut off goes on where it stopped.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmectl.errors import ArtifactError, UsageError
from mmectl.model import networks
from mmectl.state import Event, Report, ignore

BASE_URL = "http://data.mxnet.io/models/imagenet/"
CONNECT_SECONDS = 5.0
_CHUNK = 1 << 18
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the zoo: address below the base URL, and its md5 as the zoo published it."""

    address: str
    md5: str

    @property
    def file(self) -> str:
        """The file's name in a model folder."""
        return self.address.rsplit("/", 1)[-1]


_SYNSET = Source("synset.txt", "4d234b5833aca44928065a180db3016a")


def _network(stem: str, symbol: str, weights: str) -> tuple[Source, ...]:
    return (Source(f"{stem}-symbol.json", symbol), Source(f"{stem}-0000.params", weights), _SYNSET)


MODELS = {
    "resnet_18": _network(
        "resnet/18-layers/resnet-18",
        "8c0170478642cf0c1c77995769ecf329",
        "dd1b81f8f818395036a3f9d17b31baea",
    ),
    "resnet_152": _network(
        "resnet/152-layers/resnet-152",
        "afc974eb8440cc7ce37fe49d051e805b",
        "84c77aa3ae6dcd35aecf226788dc78f8",
    ),
    "squeezenet_v1.0": _network(
        "squeezenet/squeezenet_v1.0",
        "4eb1316e4c2853c6163178c5c809040c",
        "aa0145d7ef0976ba696085f82b9d67b0",
    ),
    "squeezenet_v1.1": _network(
        "squeezenet/squeezenet_v1.1",
        "bab4d80f45e9285cf9f4a3f01f07022e",
        "05b1eb6acabdaaee37c9c9ff666c1b51",
    ),
}

Opener = Callable[[urllib.request.Request, float], Any]
Progress = Callable[[int, "int | None"], None]


def _open(request: urllib.request.Request, timeout: float) -> Any:
    return urllib.request.urlopen(request, timeout=timeout)  # noqa: S310  # checked in _base


def _base(base_url: str) -> str:
    if urllib.parse.urlsplit(base_url).scheme not in ("http", "https", "file"):
        raise UsageError(
            f"zoo.base_url '{base_url}': not an address",
            hint="write an http://, https:// or file:// URL",
            code="bad_url",
        )
    return base_url.rstrip("/") + "/"


def _unreachable(url: str, why: object) -> ArtifactError:
    return ArtifactError(
        f"{url}: cannot be fetched: {why}; the zoo's host stopped answering after MXNet's "
        "retirement",
        hint="set zoo.base_url in config.yaml to a mirror (http://, https:// or file://), or "
        "upload the same network with random weights: add --untrained",
        code="zoo_unreachable",
    )


@contextmanager
def _reachable(url: str) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        with error:
            raise _unreachable(url, f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _unreachable(url, error.reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, str(error) or type(error).__name__) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be written: {error.strerror}") from error


def _request(url: str, offset: int) -> urllib.request.Request:
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    return urllib.request.Request(url, headers=headers)  # noqa: S310  # checked in _base


def _rest(url: str, partial: Path, open_url: Opener, report: Progress) -> bool:
    """Fetch what `partial` lacks; False where the connection ended before the whole of it."""
    have = partial.stat().st_size if partial.exists() else 0
    try:
        with _reachable(url):
            answer = open_url(_request(url, have), CONNECT_SECONDS)
    except ArtifactError as error:
        if getattr(error.__cause__, "code", None) != 416:
            raise
        # the server has no byte after what is there: it is complete, or of another file
        return True
    with answer:
        resumed = have > 0 and getattr(answer, "status", None) == 206
        have = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else None
        with _writing(partial), partial.open("ab" if resumed else "wb") as stream:
            for chunk in _chunks(answer, url):
                stream.write(chunk)
                have += len(chunk)
                report(have, total)
    return total is None or have >= total


def _chunks(answer: Any, url: str) -> Iterator[bytes]:
    """What arrives, until it ends or breaks off."""
    with _reachable(url):
        try:
            while chunk := answer.read(_CHUNK):
                yield chunk
        except http.client.IncompleteRead:
            return


def _download(url: str, partial: Path, open_url: Opener, report: Progress) -> None:
    """Fetch `url` into `partial`, going on where it stands; ArtifactError ``zoo_unreachable``."""
    for _ in range(_TRIES):
        if _rest(url, partial, open_url, report):
            return
    raise _unreachable(url, "the connection ends before the file does")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # the zoo published no other checksum
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _fetch(source: Source, base: str, folder: Path, open_url: Opener, report: Report) -> None:
    target, url = folder / source.file, base + source.address
    if target.exists() and _md5(target) == source.md5:
        return
    partial = target.with_name(target.name + ".part")
    _download(
        url,
        partial,
        open_url,
        lambda done, total: report(Event("progress", source.file, "fetch", done, total)),
    )
    found = _md5(partial)
    if found != source.md5:
        partial.unlink()
        raise ArtifactError(
            f"{url}: md5 is {found} and not {source.md5}, as the zoo published it: removed",
            hint="try again; if it stays so, the mirror in zoo.base_url holds another file",
            code="zoo_checksum",
        )
    partial.replace(target)
    report(Event("done", source.file, "fetched", target.stat().st_size))


def fetch(
    name: str,
    cache: Path,
    *,
    base_url: str = BASE_URL,
    report: Report = ignore,
    open_url: Opener = _open,
) -> Path:
    """The model folder ``cache/<name>``, complete and verified; fetches only what is missing.

    Raises UsageError for a name or URL that is none, ArtifactError ``zoo_unreachable`` or
    ``zoo_checksum``. Parts of an interrupted download stay in ``cache/<name>.fetching``.
    """
    if name not in MODELS:
        known = ", ".join(MODELS)
        raise UsageError(f"{name}: not in the model zoo: known are {known}", code="unknown_model")
    folder, fetching, base = cache / name, cache / f"{name}.fetching", _base(base_url)
    with _writing(folder), _alone(cache / f".{name}.lock"):
        if _complete(folder, MODELS[name]):
            return folder
        fetching.mkdir(exist_ok=True)
        for source in MODELS[name]:
            _fetch(source, base, fetching, open_url, report)
        stem = MODELS[name][0].file.removesuffix("-symbol.json")
        shapes = [{"shape": list(networks.INPUT_SHAPE), "name": "data"}]
        (fetching / f"{stem}-shapes.json").write_text(json.dumps(shapes))
        if folder.exists():
            shutil.rmtree(folder)
        fetching.rename(folder)
    return folder


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait for another process that fetches the same model."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _complete(folder: Path, sources: tuple[Source, ...]) -> bool:
    """Whether the cached folder holds every file, unchanged."""
    return all((folder / s.file).is_file() and _md5(folder / s.file) == s.md5 for s in sources)
