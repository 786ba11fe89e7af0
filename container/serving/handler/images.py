"""Images to arrays, as the model zoo's networks take them.

The resize is OpenCV's bilinear (`cv2.resize`, INTER_LINEAR), which the zoo's own image
pipeline uses and the networks' published answers were made with. Pillow's bilinear filter
averages when it shrinks and changes probabilities by up to 0.6.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Callable, Optional  # Python 3.8 has no others for aliases

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from serving.handler.image_files import MOST_SCANNED, ImageError, ImageFile, kind_of, look

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")
PLUGINS = (BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin)
# More than a 48-megapixel camera makes. The header is read before anything is decoded.
MAX_PIXELS = 50_000_000
# Of one that a model takes in its own size, and makes many times as many numbers of
MOST_AS_IT_IS = 4_000_000
# What decoding may take: the picture, and what the decoder needs beside it
MAX_BYTES = 200 * 2**20
Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit is higher and its message says less
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}  # bytes a pixel in Pillow; 4 else
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
_BACKGROUND = (255, 255, 255)
_COEFFICIENT_BITS = 11
# Up to here a runtime's own resize is faster, though it takes a copy of the picture (720 x 720:
# 0.4 ms against 1.4); the one below reads no more pixels than it needs, and needs no room for the
# others
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

# (pixels, height, width) -> the resized pixels; None where it cannot
Resize = Callable[[Any, int, int], Optional[Any]]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def sniff(body: bytes) -> bool:
    """Say whether the bytes begin like one of the formats that are read."""
    return kind_of(body) is not None


def decode(body: bytes, channels: int) -> Any:
    """Decode to uint8 of (height, width, channels), 1 channel grey or 3 RGB.

    Turned upright by its EXIF orientation; transparency is laid on white, as on a page;
    of an animation the first frame is taken. Raises ImageError.
    """
    with _opened(body) as (image, turn):
        return _Upright(image, turn, channels).whole()


def read(
    body: bytes, channels: int, size: tuple[int, int] | None, resizer: Resize | None = None
) -> Any:
    """Decode as `decode`, and resize to `size`, (height, width). Raises ImageError.

    Of a large picture no pixels are flattened or copied but those that the answer depends on.
    `resizer` is tried for others. Where there is no size the picture keeps its own.
    """
    with _opened(body, MAX_PIXELS if size else MOST_AS_IT_IS) as (image, turn):
        upright = _Upright(image, turn, channels)
        if size is None:
            return upright.whole()
        height, width = size
        large = image.width * image.height * channels > _COPIED_BYTES
        pixels = sampled(upright, height, width) if large else upright.whole()
        del image, upright  # its memory is the next one's
    return pixels if large else resize(pixels, height, width, resizer)


@contextlib.contextmanager
def _opened(body: bytes, most: int = MAX_PIXELS) -> Iterator[tuple[Any, int]]:
    """The decoded image, and its orientation; what goes wrong with it is an ImageError."""
    try:
        file = look(body)
        if file is None:
            raise ImageError(f"not an image of a known format ({', '.join(FORMATS)})")
        with Image.open(io.BytesIO(file.body), formats=(file.kind,)) as image:
            _check_cost(image, file, most)
            image.load()
            yield image, file.orientation
    except MemoryError:
        raise
    except _DAMAGE as error:
        raise ImageError(_problem(body, error)) from None


class _Upright:
    """A decoded image as its viewer sees it: turned, without transparency, grey or RGB."""

    def __init__(self, image: Any, turn: int, channels: int) -> None:
        self._image = image
        self._turn = turn
        self._mode = "L" if channels == 1 else "RGB"
        size = image.size if turn > 4 else image.size[::-1]
        self.shape = (*size, channels)

    def whole(self) -> Any:
        """All its pixels: uint8 of (height, width, channels)."""
        return self._pixels(self._image)

    def __getitem__(self, rows: Any) -> Any:
        """The pixels of some of its rows."""
        lines = (self._pixels(self._image.crop(self._box(row)))[0] for row in rows.tolist())
        return np.stack(list(lines))

    def _box(self, row: int) -> tuple[int, int, int, int]:
        """Where that row of the upright picture lies in the image."""
        width, height = self._image.size
        if self._turn in (3, 4, 7, 8):
            row = self.shape[0] - 1 - row
        return (row, 0, row + 1, height) if self._turn > 4 else (0, row, width, row + 1)

    def _pixels(self, image: Any) -> Any:
        if self._turn in _TURNS:
            image = image.transpose(_TURNS[self._turn])
        pixels = np.asarray(_flatten(image, self._mode))
        return pixels.reshape(*pixels.shape[:2], self.shape[2])


def _problem(body: bytes, error: Exception) -> str:
    """Put what Pillow raised into words; its own may be the address of an object."""
    kind, text = kind_of(body) or "file", str(error)
    if "truncated" in text.lower() or _cut_short(body, kind):
        text = f"the {kind} ends early"
    elif isinstance(error, UnidentifiedImageError) or " at 0x" in text or not text:
        text = f"not a {kind} that can be read"
    return f"the image is damaged or cut short: {text}"


def _cut_short(body: bytes, kind: str) -> bool:
    if kind == "WEBP":  # RIFF: the header declares the length of what follows it
        return len(body) < 8 + int.from_bytes(body[4:8], "little")
    return _ENDS.get(kind, b"") not in body


def _check_cost(image: Any, file: ImageFile, most: int) -> None:
    """Raise ImageError for what would take too much memory or time to decode."""
    width, height = image.size
    pixels = width * height
    if width < 1 or height < 1:
        raise ImageError(f"the image is empty: {width} x {height}")
    if pixels > most:
        raise ImageError(f"the image is too large: {width} x {height}, at most {most} pixels")
    need = pixels * (_STORED.get(image.mode, 4) + file.extra)
    if need > MAX_BYTES:
        raise ImageError(
            f"the image is too large: {width} x {height} as this {file.kind} takes "
            f"{need / 2**20:.0f} MB to decode, at most {MAX_BYTES >> 20}"
        )
    if pixels * file.scans > MOST_SCANNED:
        raise ImageError(
            f"the image is too large: {width} x {height} in {file.scans} scans; save it as a "
            "baseline JPEG"
        )


def _flatten(image: Any, mode: str) -> Any:
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow would clip instead of scale
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, (*_BACKGROUND, 255))
        image = Image.alpha_composite(page, image)
    return image if image.mode == mode else image.convert(mode)


def resize(pixels: Any, height: int, width: int, resizer: Resize | None = None) -> Any:
    """Resize uint8 (h, w, c) to (height, width, c) bit for bit as OpenCV's INTER_LINEAR."""
    if resizer is not None and pixels.nbytes <= _COPIED_BYTES:
        resized = resizer(pixels, height, width)
        if resized is not None:
            return resized
    return sampled(pixels, height, width)


def sampled(pixels: Any, height: int, width: int) -> Any:
    """Resize as `resize` does, without a runtime.

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
