"""Images to arrays, as the model zoo's networks take them.

The resize is OpenCV's bilinear (`cv2.resize`, INTER_LINEAR), which MXNet's own image
pipeline uses and the networks' published answers were made with. Pillow's bilinear filter
averages when it shrinks and changes probabilities by up to 0.6.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from typing import Any

import engine
import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
PLUGINS = (BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin)
# A decoded pixel takes 3 to 4 bytes: 50 million are at most 200 MB, and more than a
# 48-megapixel camera makes. The header is read before anything is decoded.
MAX_PIXELS = 50_000_000
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit is higher and its message says less
_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
}
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_BACKGROUND = (255, 255, 255)
_COEFFICIENT_BITS = 11
# Up to here the engine's resize is faster, though it takes a copy of the picture (720 x 720: 0.4 ms
# against 1.4); the one below reads no more pixels than it needs, and takes no room for the others
_COPIED_BYTES = 4 * 2**20

# What Pillow raises on damaged files, found by feeding it tens of thousands of them.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class ImageError(Exception):
    """The bytes are not an image that can be served; the text says why."""


def sniff(body: bytes) -> bool:
    """Say whether the bytes begin like one of the formats that are read."""
    return _format(body) is not None


def _format(body: bytes) -> str | None:
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "WEBP"
    return next((name for start, name in _STARTS.items() if body.startswith(start)), None)


def decode(body: bytes, channels: int) -> Any:
    """Decode to uint8 of (height, width, channels), 1 channel grey or 3 RGB.

    Turned upright by its EXIF orientation; transparency is laid on white, as on a page;
    of an animation the first frame is taken. Raises ImageError.
    """
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS) as image:
            _check_size(*image.size)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            pixels = np.asarray(_flatten(image, "L" if channels == 1 else "RGB"))
    except MemoryError:
        raise
    except _DAMAGE as error:
        raise ImageError(_problem(body, error)) from None
    return pixels[:, :, None] if channels == 1 else pixels


def _problem(body: bytes, error: Exception) -> str:
    """Put what Pillow raised into words; its own may be the address of an object."""
    kind = _format(body)
    if kind is None:
        return f"not an image of a known format ({', '.join(FORMATS)})"
    text = str(error)
    if "truncated" in text.lower() or _cut_short(body, kind):
        text = f"the {kind} ends early"
    elif isinstance(error, UnidentifiedImageError) or " at 0x" in text or not text:
        text = f"not a {kind} that can be read"
    return f"the image is damaged or cut short: {text}"


def _cut_short(body: bytes, kind: str) -> bool:
    if kind == "WEBP":  # RIFF: the header declares the length of what follows it
        return len(body) < 8 + int.from_bytes(body[4:8], "little")
    return _ENDS.get(kind, b"") not in body


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"the image is empty: {width} x {height}")
    if width * height > MAX_PIXELS:
        raise ImageError(f"the image is too large: {width} x {height}, at most {MAX_PIXELS} pixels")


def _flatten(image: Any, mode: str) -> Any:
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow would clip instead of scale
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, (*_BACKGROUND, 255))
        image = Image.alpha_composite(page, image)
    return image if image.mode == mode else image.convert(mode)


def resize(pixels: Any, height: int, width: int) -> Any:
    """Resize uint8 (h, w, c) to (height, width, c) bit for bit as OpenCV's INTER_LINEAR."""
    if pixels.nbytes <= _COPIED_BYTES:
        with contextlib.suppress(engine.EngineError):
            return engine.resize(pixels, height, width)
    return sampled(pixels, height, width)


def sampled(pixels: Any, height: int, width: int) -> Any:
    """Resize as `resize` does, without the engine.

    OpenCV weighs in fixed point, 11 bits a coefficient, columns first.
    """
    top, bottom, up, down = _weights(pixels.shape[0], height)
    left, right, near, far = _weights(pixels.shape[1], width)
    left, right = np.maximum(left, 0), np.minimum(right, pixels.shape[1] - 1)
    last = pixels.shape[0] - 1
    near, far = near[:, None], far[:, None]
    up, down = up[:, None, None], down[:, None, None]

    def columns(rows: Any) -> Any:
        lines = pixels[np.clip(rows, 0, last)]
        return (lines[:, left] * near + lines[:, right] * far) >> 4

    mixed = ((columns(top) * up) >> 16) + ((columns(bottom) * down) >> 16)
    return ((mixed + 2) >> 2).astype(np.uint8)


def _weights(source: int, target: int) -> tuple[Any, Any, Any, Any]:
    centres = ((np.arange(target) + 0.5) * (source / target) - 0.5).astype(np.float32)
    first = np.floor(centres).astype(np.int64)
    share = centres - first.astype(np.float32)
    scale = np.float32(1 << _COEFFICIENT_BITS)
    far = np.rint(share * scale).astype(np.int32)
    near = np.rint((np.float32(1) - share) * scale).astype(np.int32)
    return first, first + 1, near, far
