"""Download a file over HTTP or from a file:// URL: resumed, verified, written atomically."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmectl.base.errors import ArtifactError
from mmectl.base.files import writing

CONNECT_SECONDS = 5.0
_CHUNK = 1 << 18
_TRIES = 3
LARGEST = 50 << 30  # bytes of a file that is fetched

Opener = Callable[[urllib.request.Request, float], Any]
Progress = Callable[[int, "int | None"], None]
Unreachable = Callable[[str, object], ArtifactError]


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https alone, and from https to https alone."""

    def redirect_request(self, req: urllib.request.Request, *others: Any) -> Any:
        """The next request; raises URLError where the answer leads elsewhere."""
        target = urllib.parse.urlsplit(others[-1]).scheme.lower()
        if target != "https" and (target != "http" or req.type == "https"):
            raise urllib.error.URLError(
                f"it redirects from {req.type} to {target}, which is refused"
            )
        return super().redirect_request(req, *others)


def open_url(request: urllib.request.Request, timeout: float) -> Any:
    """Send a request; the caller has checked its scheme."""
    return urllib.request.build_opener(_Redirects).open(request, timeout=timeout)


@dataclass(frozen=True, slots=True)
class Link:
    """How a file is fetched: whom to ask, what to say of failures, whom to tell of progress."""

    unreachable: Unreachable
    open_url: Opener = open_url
    progress: Progress = lambda _done, _total: None
    largest: int = LARGEST


def digest_of(path: Path, algorithm: str) -> str:
    """The checksum (hex) of a file."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def download(url: str, partial: Path, link: Link) -> None:
    """Fetch `url` into `partial`, going on where it stands.

    Raises what `link.unreachable` makes, or ArtifactError where nothing can be written. What was
    fetched goes on only with the same file: its entity tag is kept beside it (If-Range).
    """
    for _ in range(_TRIES):
        if _rest(url, partial, link):
            _tag_file(partial).unlink(missing_ok=True)
            return
    raise link.unreachable(url, "the connection ends before the file does")


@contextmanager
def _reachable(url: str, link: Link) -> Iterator[None]:
    try:
        yield
    except urllib.error.HTTPError as error:
        with error:
            raise link.unreachable(url, f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise link.unreachable(url, error.reason) from error
    except (OSError, http.client.HTTPException) as error:
        raise link.unreachable(url, str(error) or type(error).__name__) from error


def _tag_file(partial: Path) -> Path:
    return partial.with_name(partial.name + ".etag")


def _request(url: str, offset: int, partial: Path) -> urllib.request.Request:
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    tag = _tag_file(partial)
    if offset and tag.exists():
        headers["If-Range"] = tag.read_text("latin-1")
    return urllib.request.Request(url, headers=headers)  # noqa: S310


def _rest(url: str, partial: Path, link: Link) -> bool:
    """Fetch what `partial` lacks; False where the connection ended before the whole of it."""
    have = partial.stat().st_size if partial.exists() else 0
    try:
        with _reachable(url, link):
            answer = link.open_url(_request(url, have, partial), CONNECT_SECONDS)
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
        _fits(url, total or 0, link)
        with writing(partial), partial.open("ab" if resumed else "wb") as stream:
            _remember_tag(partial, answer.headers.get("ETag"))
            for chunk in _chunks(answer, url, link):
                stream.write(chunk)
                have += len(chunk)
                _fits(url, have, link)
                link.progress(have, total)
    return total is None or have >= total


def _fits(url: str, size: int, link: Link) -> None:
    if size > link.largest:
        raise link.unreachable(url, f"the file is larger than {link.largest:,} bytes")


def _remember_tag(partial: Path, tag: str | None) -> None:
    """Keep a strong entity tag; a weak one says nothing about bytes (RFC 9110, 13.1.5)."""
    file = _tag_file(partial)
    if tag and not tag.startswith("W/"):
        file.write_text(tag, "latin-1")
    else:
        file.unlink(missing_ok=True)


def _chunks(answer: Any, url: str, link: Link) -> Iterator[bytes]:
    """What arrives, until it ends or breaks off."""
    with _reachable(url, link):
        try:
            while chunk := answer.read(_CHUNK):
                yield chunk
        except http.client.IncompleteRead:
            return
