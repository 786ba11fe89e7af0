"""Receiving a body: decoded, hashed and written while it streams, then checked.

The work on each piece (decode, hash, write) runs in a thread, so that large uploads do not
hold up the requests beside them.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from mmectl.local.auth.claims import Headers
from mmectl.local.auth.sigv4 import UNSIGNED
from mmectl.local.call import Stream, next_bytes
from mmectl.local.s3 import checksums
from mmectl.local.s3.chunked import MODES, ChunkDecoder, ChunkSigner
from mmectl.local.values import AwsError

PIECE = 1024 * 1024  # bytes handed to the thread at once
_LENGTH = re.compile(r"\d{1,19}", re.ASCII)
MAX_OBJECT = 5 * 1024**3  # bytes of one PutObject or UploadPart


@dataclass(frozen=True, slots=True)
class Expected:
    """What the headers promise of a body; checksums by lower-case algorithm name."""

    length: int | None
    sha256: str | None
    md5: bytes | None
    checksums: Mapping[str, str]
    trailer: str | None
    mode: str | None


@dataclass(frozen=True, slots=True)
class Received:
    """A checked body: `etag` is the hex MD5; `checksums` those given or asked for."""

    size: int
    etag: str
    checksums: dict[str, str]


def expected(headers: Headers, encoded_length: int | None, *, of_body: bool = True) -> Expected:
    """Read the promises; raises AwsError when one is malformed or missing.

    `of_body` is false where ``x-amz-checksum-`` headers speak of something else.
    """
    payload = headers.get("x-amz-content-sha256") or UNSIGNED
    mode = payload if payload in MODES else None
    length = encoded_length
    if mode:
        text = headers.get("x-amz-decoded-content-length") or ""
        length = int(text) if _LENGTH.fullmatch(text) else None
    if length is None:
        raise AwsError("MissingContentLength", "You must provide the Content-Length header.", 411)
    if length > MAX_OBJECT:
        raise AwsError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            400,
            {"ProposedSize": length, "MaxSizeAllowed": MAX_OBJECT},
        )
    trailer = (headers.get("x-amz-trailer") or "").strip().lower()
    return Expected(
        length,
        None if mode or payload == UNSIGNED else payload,
        _md5(headers.get("Content-MD5")),
        given_checksums(headers) if of_body else {},
        trailer.removeprefix(checksums.PREFIX) if mode and trailer else None,
        mode,
    )


def given_checksums(headers: Headers) -> dict[str, str]:
    """The ``x-amz-checksum-<name>`` headers, by name; one that cannot be verified is refused."""
    found = {}
    for header in headers.keys():  # noqa: SIM118  # a protocol
        name = header.lower().removeprefix(checksums.PREFIX)
        if not header.lower().startswith(checksums.PREFIX) or name in checksums.ABOUT:
            continue
        checksums.new(name)
        found[name] = headers.get(header) or ""
        checksums.decode(found[name])
    return found


def _md5(header: str | None) -> bytes | None:
    if header is None:
        return None
    try:
        digest = checksums.decode(header)
    except AwsError:
        digest = b""
    if len(digest) != 16:
        raise AwsError("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return digest


@dataclass(slots=True)
class _Running:
    """Everything computed while the bytes pass."""

    promised: Expected
    decoder: ChunkDecoder | None
    write: Callable[[bytes], object]
    extra: str | None = None
    size: int = 0
    md5: checksums.Checksum = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    sha256: checksums.Checksum | None = None
    sums: dict[str, checksums.Checksum] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [*self.promised.checksums, self.promised.trailer, self.extra]
        self.sums = {name: checksums.new(name) for name in names if name}
        if self.promised.sha256:
            self.sha256 = hashlib.sha256()

    def take(self, raw: bytes) -> None:
        """Decode, hash and write one piece."""
        data = self.decoder.feed(raw) if self.decoder else raw
        self.size += len(data)
        if self.promised.length is not None and self.size > self.promised.length:
            raise AwsError("IncompleteBody", "The body is longer than its declared length.")
        self.md5.update(data)
        if self.sha256:
            self.sha256.update(data)
        for running in self.sums.values():
            running.update(data)
        self.write(data)

    def finish(self) -> Received:
        """Compare with what was promised; raises AwsError."""
        promised = dict(self.promised.checksums)
        if self.decoder:
            self.decoder.finish()
            if self.promised.trailer:
                name = self.promised.trailer
                promised[name] = self.decoder.trailers.get(checksums.PREFIX + name, "")
        if self.size != self.promised.length:
            raise AwsError(
                "IncompleteBody",
                "You did not provide the number of bytes specified by the Content-Length header.",
            )
        if self.sha256 and self.sha256.digest().hex() != self.promised.sha256:
            raise AwsError(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )
        digest = self.md5.digest()
        if self.promised.md5 not in (None, digest):
            raise AwsError(
                "BadDigest", "The Content-MD5 you specified did not match what we received."
            )
        found = {name: checksums.encode(one.digest()) for name, one in self.sums.items()}
        for name, value in promised.items():
            if found[name] != value:
                raise AwsError(
                    "BadDigest",
                    f"The {name.upper()} you specified did not match the calculated checksum.",
                )
        return Received(self.size, digest.hex(), found)


async def receive(
    stream: Stream,
    promised: Expected,
    signer: ChunkSigner,
    write: Callable[[bytes], object],
    *,
    checksum: str | None = None,
) -> Received:
    """Read the body to its end into `write`; `checksum` names one to compute besides.

    Raises AwsError where the bytes are not what was promised, ConnectionError when the
    client goes away.
    """
    decoder = ChunkDecoder(promised.mode, signer) if promised.mode else None
    running = _Running(promised, decoder, write, checksum)
    pending: asyncio.Task[None] | None = None
    try:
        async for piece in _pieces(stream):
            if pending:
                await pending
            pending = asyncio.ensure_future(asyncio.to_thread(running.take, piece))
        if pending:
            await pending
    finally:
        if pending and not pending.done():  # the file must not be closed under the thread
            await asyncio.wait([pending])
    return await asyncio.to_thread(running.finish)


async def _pieces(stream: Stream) -> AsyncIterator[bytes]:
    parts: list[bytes] = []
    size = 0
    while True:
        data = await next_bytes(stream)
        if data:
            parts.append(data)
            size += len(data)
        if parts and (size >= PIECE or not data):
            yield b"".join(parts)
            parts, size = [], 0
        if not data:
            return
