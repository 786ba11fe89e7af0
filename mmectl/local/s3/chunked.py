"""The `aws-chunked` content encoding: signed or unsigned chunks, with or without trailers; no I/O.

Source: "Signature calculations for the Authorization header: transferring a payload in
multiple chunks" and "... with trailing headers" of the S3 API reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mmectl.local.auth.sigv4 import EMPTY_SHA256, hex_hmac
from mmectl.local.values import AwsError

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
TRAILER = "x-amz-trailer-signature"
MODES = (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER)
_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
MAX_LINE = 16 * 1024  # bytes of one chunk header or trailer line


@dataclass(frozen=True, slots=True)
class ChunkSigner:
    """What chunks are signed with: the request's key, time, scope and signature."""

    key: bytes
    timestamp: str
    scope: str
    seed: str

    def chunk(self, previous: str, digest: str) -> str:
        """The signature of a chunk whose data has that hex SHA-256."""
        return self._sign("PAYLOAD", previous, f"{EMPTY_SHA256}\n{digest}")

    def trailer(self, previous: str, digest: str) -> str:
        """The signature of the trailing headers."""
        return self._sign("TRAILER", previous, digest)

    def _sign(self, kind: str, previous: str, rest: str) -> str:
        head = f"AWS4-HMAC-SHA256-{kind}\n{self.timestamp}\n{self.scope}\n"
        return hex_hmac(self.key, f"{head}{previous}\n{rest}")


class ChunkDecoder:
    """Turns the encoded bytes into the payload, chunk signatures checked as they end.

    `feed` returns the payload in what was given; after `finish`, `trailers` holds the
    trailing headers in lower case. Raises AwsError.
    """

    def __init__(self, mode: str, signer: ChunkSigner) -> None:
        self._signed = mode != UNSIGNED_TRAILER
        self._has_trailer = mode != SIGNED
        self._signer = signer
        self._previous = signer.seed
        self._buffer = bytearray()
        self._state = "header"
        self._left = 0
        self._claimed = ""
        self._digest = hashlib.sha256()
        self._trailer_text = b""
        self._trailer_signature = ""
        self.trailers: dict[str, str] = {}

    def feed(self, data: bytes) -> bytes:
        """Decode more bytes."""
        self._buffer += data
        return b"".join(self._steps())

    def _steps(self) -> Iterator[bytes]:
        while self._state != "done":
            if self._state == "data":
                if not self._buffer:
                    return
                yield self._take()
                continue
            line = self._line()
            if line is None:
                return
            getattr(self, f"_on_{self._state}")(line)
        if self._buffer.strip(b"\r\n"):
            raise _malformed("bytes follow the last chunk")
        self._buffer.clear()

    def _take(self) -> bytes:
        piece = bytes(memoryview(self._buffer)[: self._left])
        del self._buffer[: len(piece)]
        self._left -= len(piece)
        if self._signed:
            self._digest.update(piece)
        if not self._left:
            self._state = "end"
        return piece

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n", 0, MAX_LINE)
        if end < 0:
            if len(self._buffer) >= MAX_LINE:
                raise _malformed("a line is too long")
            return None
        line = bytes(self._buffer[:end])
        if not line.endswith(b"\r"):
            raise _malformed("a line does not end with CR and LF")
        del self._buffer[: end + 1]
        return line[:-1]

    def _on_header(self, line: bytes) -> None:
        size, _, extension = line.partition(b";")
        if not _SIZE.fullmatch(size):
            raise _malformed("the size of a chunk is no hexadecimal number")
        self._left = int(size, 16)
        self._claimed = extension.partition(b"chunk-signature=")[2].decode("latin-1")
        self._digest = hashlib.sha256()
        if self._left:
            self._state = "data"
            return
        self._close_chunk()
        self._state = "trailer" if self._has_trailer else "last"

    def _on_end(self, line: bytes) -> None:
        if line:
            raise _malformed("a chunk is longer than it says")
        self._close_chunk()
        self._state = "header"

    def _on_last(self, line: bytes) -> None:
        if line:
            raise _malformed("bytes follow the last chunk")
        self._state = "done"

    def _on_trailer(self, line: bytes) -> None:
        if not line:
            self._state = "done"
            return
        head, colon, value = line.decode("latin-1").partition(":")
        name = head.lower().strip()
        if not colon or name in self.trailers or (name == TRAILER and self._trailer_signature):
            raise AwsError(
                "MalformedTrailerError",
                "The request contained trailing data that was not well-formed or did not conform "
                "to our published schema.",
            )
        if name == TRAILER:
            self._trailer_signature = value.strip()
            return
        self.trailers[name] = value.strip()
        self._trailer_text += line + b"\n"

    def _close_chunk(self) -> None:
        if self._signed:
            expected = self._signer.chunk(self._previous, self._digest.hexdigest())
            _compare(expected, self._claimed)
            self._previous = expected

    def finish(self) -> None:
        """Check that the end was reached and the trailers are signed."""
        if self._state not in ("done", "last", "trailer") or self._buffer:
            raise AwsError("IncompleteBody", "The request body terminated unexpectedly", 400)
        if self._signed and self._trailer_text:
            digest = hashlib.sha256(self._trailer_text).hexdigest()
            _compare(self._signer.trailer(self._previous, digest), self._trailer_signature)


def _compare(expected: str, claimed: str) -> None:
    if not hmac.compare_digest(expected.encode(), claimed.encode("latin-1", "replace")):
        raise AwsError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature of a chunk.",
            403,
        )


def _malformed(why: str) -> AwsError:
    return AwsError("InvalidRequest", f"The aws-chunked body is malformed: {why}.")
