"""Image files before decoding: the cost of decoding them, read from their headers.

Decoders read more of a file than its pixels: 6 MB of EXIF tags that all point at the same bytes, of
comments, or of scans that each go over the whole picture again would cost minutes or gigabytes.
So what is no pixel is left out, and what a decoder takes is known from the headers.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

MOST_SCANS = 100
# of a JPEG; encoders write ten for a progressive picture, each of which costs 1.4 ns a pixel
MOST_SCANNED = 1_000_000_000
MOST_PARTS = 20_000
MOST_TAGS = 1000

_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
}
_ORIENTATION = 0x0112
_WIDTHS = {1: "B", 3: "H", 4: "I"}  # types of EXIF
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])")
_EXIF_START = b"Exif\0\0"
_XMP_START = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_SCAN = 0xDA
_JPEG_BARE = {0x00, 0x01, *range(0xD0, 0xDA)}  # markers without a length
_JPEG_COLOURS = (0xE0, 0xEE)  # JFIF and Adobe say which colours the components are
_JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG_WHOLE = {0xC2, 0xC6, 0xCA, 0xCE}  # progressive
_WEBP_CANVASES = 13  # three of four bytes a pixel beside the picture's, measured
_BMP_RUNS = (1, 2)


class ImageError(Exception):
    """The bytes are not an image that can be served; the text says why."""


@dataclass(frozen=True)
class ImageFile:
    """An image file without what decides no pixel.

    `orientation` is EXIF's, 1 to 8. `scans` is how often decoding goes over each pixel, and
    `extra` how many bytes a pixel it takes beside the picture itself.
    """

    kind: str
    body: bytes
    orientation: int = 1
    scans: int = 1
    extra: int = 0


def kind_of(body: bytes) -> str | None:
    """Tell the format by how the file begins; None for what is not read here."""
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "WEBP"
    return next((name for start, name in _STARTS.items() if body.startswith(start)), None)


def look(body: bytes) -> ImageFile | None:
    """Look through a file's headers; None for an unknown format. Raises ImageError.

    What is damaged is left to the decoder, which knows what it needs.
    """
    kind = kind_of(body)
    reader = {"JPEG": _jpeg, "PNG": _png, "GIF": _gif, "BMP": _bmp, "WEBP": _webp}.get(kind or "")
    return reader(body) if reader else None


def _too_many(kind: str) -> ImageError:
    return ImageError(f"the {kind} is made of more than {MOST_PARTS} parts")


def _jpeg(body: bytes) -> ImageFile:
    kept, at, turn, components, whole = [body[:2]], 2, 0, 0, False
    for _ in range(MOST_PARTS):
        at = body.find(b"\xff", at)
        marker, end = _segment(body, at)
        if marker in (None, _SCAN):
            break
        data = body[at + 4 : end]
        if marker in _JPEG_FRAMES and len(data) > 5:
            components, whole = data[5], marker in _JPEG_WHOLE
        if marker == 0xE1:
            turn = turn or _of_segment(data)
        if marker in _JPEG_COLOURS or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(body[at:end])
        at = end
    else:
        raise _too_many("JPEG")
    rest, scans, extra = body[at:], 1, 0
    # else the first scan has all that is decoded
    if marker == _SCAN and (whole or body[at + 4 : at + 5] != bytes([components])):
        rest = _scans(rest)
        scans = rest.count(b"\xff\xda")
        extra = 2 * components  # all coefficients, until the last scan
    if scans > MOST_SCANS:
        raise ImageError(f"the JPEG has {scans} scans, at most {MOST_SCANS}")
    return ImageFile("JPEG", b"".join([*kept, rest]), turn or 1, scans, extra)


def _segment(body: bytes, at: int) -> tuple[int | None, int]:
    """The marker of the segment that begins there, and its end; None where the file ends.

    As Pillow reads them: what is no marker is skipped.
    """
    if at < 0 or at + 1 >= len(body):
        return None, len(body)
    marker = body[at + 1]
    if marker == 0xFF:  # padding
        return 0, at + 1
    if marker in _JPEG_BARE:
        return marker, at + 2
    return marker, at + 2 + max(2, int.from_bytes(body[at + 2 : at + 4], "big"))


def _scans(rest: bytes) -> bytes:
    """All up to the end of the picture; another may follow, for the screen of a camera.

    Between two scans there are tables alone, and within one 0xff stands for itself as 0xff00.
    """
    end = rest.find(b"\xff\xd9")
    return rest if end < 0 else rest[: end + 2]


def _of_segment(data: bytes) -> int:
    if data.startswith(_EXIF_START):
        return _of_exif(data)
    return _of_xmp(data) if data.startswith(_XMP_START) else 0


def _of_exif(tiff: bytes) -> int:
    """The orientation of an EXIF block, 0 where it says none."""
    if tiff.startswith(_EXIF_START):
        tiff = tiff[len(_EXIF_START) :]
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2], "")
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for number in range(min(count, MOST_TAGS) if order else 0):
            place = start + 2 + 12 * number
            tag, kind = struct.unpack_from(f"{order}HH", tiff, place)
            if tag == _ORIENTATION and kind in _WIDTHS:
                (turn,) = struct.unpack_from(order + _WIDTHS[kind], tiff, place + 8)
                return turn if 1 <= turn <= 8 else 0
    except struct.error:
        pass
    return 0


def _of_xmp(text: bytes) -> int:
    found = _XMP_ORIENTATION.search(text)
    return int(found[1]) if found else 0


def _png(body: bytes) -> ImageFile:
    kept, at, exif, xmp = [body[:8]], 8, 0, 0
    for _ in range(MOST_PARTS):
        if at >= len(body):
            break
        length, name = int.from_bytes(body[at : at + 4], "big"), body[at + 4 : at + 8]
        end = at + length + 12
        if name in _PNG_PIXELS or end > len(body):
            kept.append(body[at:end])
        elif name == b"eXIf":
            exif = exif or _of_exif(body[at + 8 : end - 4])
        elif name == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0", at + 8):
            xmp = xmp or _of_xmp(body[at + 8 : end - 4])
        at = end
        if name == b"IEND":
            break
    else:
        raise _too_many("PNG")
    return ImageFile("PNG", b"".join(kept), exif or xmp or 1)


def _webp(body: bytes) -> ImageFile:
    at, exif, xmp = 12, 0, 0
    for _ in range(MOST_PARTS):
        if at + 8 > len(body):
            break
        name, end = body[at : at + 4], at + 8 + int.from_bytes(body[at + 4 : at + 8], "little")
        if name == b"EXIF":
            exif = exif or _of_exif(body[at + 8 : end])
        elif name == b"XMP ":
            xmp = xmp or _of_xmp(body[at + 8 : end])
        at = end + end % 2
    else:
        raise _too_many("WEBP")
    return ImageFile("WEBP", body, exif or xmp or 1, extra=_WEBP_CANVASES)


def _gif(body: bytes) -> ImageFile:
    """Leave out all extensions before the first frame but the one that says what is transparent."""
    packed = body[10] if len(body) > 10 else 0
    at = 13 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
    kept, blocks = [body[:at]], 0
    while body[at : at + 1] == b"!":
        start, graphic = at, body[at + 1 : at + 2] == b"\xf9"
        at += 2
        while at < len(body) and body[at] and blocks <= MOST_PARTS:
            at += 1 + body[at]
            blocks += 1
        at += 1
        if graphic:
            kept.append(body[start:at])
        if blocks > MOST_PARTS or len(kept) > MOST_TAGS:
            raise _too_many("GIF")
    return ImageFile("GIF", b"".join([*kept, body[at:]]))


def _bmp(body: bytes) -> ImageFile:
    header = int.from_bytes(body[14:18], "little")
    compression = int.from_bytes(body[30:34], "little")
    if header >= 40 and compression in _BMP_RUNS:
        raise ImageError("a BMP with run-length compression is not read: save it without")
    return ImageFile("BMP", body)
