"""Bytes to text."""

from __future__ import annotations

from serving.handler.payloads import PayloadError, brief

# All of ASCII is UTF-8, and clients call that ASCII, too.
# Not by codecs.lookup: it keeps each unknown name for ever
_CHARSETS = {
    "utf-8": "utf-8-sig", "utf8": "utf-8-sig", "utf-8-sig": "utf-8-sig",
    "us-ascii": "utf-8-sig", "ascii": "utf-8-sig",
    "iso-8859-1": "latin-1", "iso8859-1": "latin-1", "latin-1": "latin-1", "latin1": "latin-1",
    "windows-1252": "cp1252", "cp1252": "cp1252", "utf-16": "utf-16", "utf16": "utf-16",
}  # fmt: skip


def decoded(body: bytes, charset: str | None = None) -> str:
    """Decode a body; a byte order mark is left out. Raises PayloadError 400 or 415."""
    encoding = _CHARSETS.get((charset or "utf-8").lower().replace("_", "-"))
    if encoding is None:
        raise PayloadError(f"the charset {brief(charset or '')!r} is not supported: use utf-8", 415)
    if charset is None and body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise PayloadError("the body is UTF-16: send utf-8, or say so: text/csv; charset=utf-16")
    try:
        return bytes(body).decode(encoding)
    except UnicodeDecodeError as error:
        raise PayloadError(f"the body is not {charset or 'utf-8'}: {error.reason} at byte "
                           f"{error.start}") from None  # fmt: skip


def lines_of(text: str) -> list[str]:
    """Lines that hold something; strings of JSON may hold what else Unicode has to end a line."""
    return [line for line in text.replace("\r", "\n").split("\n") if line.strip()]
