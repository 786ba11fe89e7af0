"""Requests to arrays; no framework needed. Their answers are in answers.py.

A payload is one item or a batch of them. Tensors may come with the batch axis or without
it, and the answer then has it or not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from runtimes.values import ANY, TEXT, Input, Pixels

from serving.handler import encoded, images, npy, payloads
from serving.handler.image_files import ImageError
from serving.handler.payloads import JSON as JSON
from serving.handler.payloads import NPY as NPY
from serving.handler.payloads import PayloadError as PayloadError
from serving.handler.payloads import brief
from serving.handler.tables import columns, reading
from serving.handler.tables.kinds import CSV, JSONLINES, canonical
from serving.handler.tables.values import Features, may_be_rounded

_BEFORE_JSON = b"\xef\xbb\xbf \t\r\n"  # a byte order mark, blanks
_SNIFF = {"", "application/octet-stream", "binary/octet-stream", "application/x-image"}
_IMAGES = ("image/jpeg", "image/png", "image/bmp", "image/gif", "image/webp")
_WRAPPERS = ("instances", "inputs")


@dataclass(frozen=True)
class Feed:
    """What one request asks to be predicted: by input name, an array of (items, *item shape).

    In the inputs' types, float32 where they have none.
    """

    arrays: Mapping[str, Any]
    items: int
    batched: bool


def parse(
    body: bytes,
    content_type: str | None,
    inputs: Sequence[Input],
    resize: images.Resize | None = None,
) -> Feed:
    """Read one request; raises PayloadError 400 (bad content) or 415 (not supported).

    `resize` brings images to the size of the input, see images.read.
    """
    if not body:
        raise PayloadError("the request has no body")
    kind = (content_type or "").split(";")[0].strip().lower()
    if kind in _SNIFF or kind.startswith("image/"):
        kind = _sniff(body, kind)
    if kind == "image":
        return _image(body, inputs, resize)
    if kind == JSON:
        return _held(*payloads.load_json(body), inputs, resize)
    if kind == NPY:
        return _npy(body, inputs)
    if reading.is_rows(kind) and _takes_rows(inputs):
        return _rows(body, content_type, inputs[0])
    if canonical(kind) == JSONLINES and inputs[0].batched:
        return _held(*_lines(body), inputs, resize)
    what = f"content type {brief(kind)!r} is not supported: send {_offered(inputs)}"
    raise PayloadError(what, 415)


def _offered(inputs: Sequence[Input]) -> str:
    """The content types that a model's requests may have."""
    kinds = [*_IMAGES] if _picture(inputs) else []
    kinds += [JSON] if len(inputs) > 1 or inputs[0].dtype == TEXT else [JSON, NPY]
    kinds += [JSONLINES] if inputs[0].batched else []
    return ", ".join([*kinds, CSV] if _takes_rows(inputs) else kinds)


def _takes_rows(inputs: Sequence[Input]) -> bool:
    """Whether a row of numbers, as formats of tables have it, is an item of the only input."""
    one = inputs[0]
    return len(inputs) == 1 and len(one.shape) == 2 and one.batched and one.dtype != TEXT


def _rows(body: bytes, content_type: str | None, one: Input) -> Feed:
    count = None if one.shape[1] == ANY else one.shape[1]
    dtype = one.dtype or "float32"
    features = Features(count=count, dtype=dtype, missing_allowed=False, title=one.name)
    table = reading.read(body, content_type, features)
    return Feed({one.name: table.array}, table.rows, batched=True)


def _sniff(body: bytes, kind: str) -> str:
    if kind.startswith("image/") or images.sniff(body):
        return "image"
    if body.startswith(npy.MAGIC):
        return NPY
    if kind == "application/x-image":
        return "image"
    return JSON if body.lstrip(_BEFORE_JSON)[:1] in (b"[", b"{") else kind or "unknown"


class _Picture(NamedTuple):
    """What pictures an input takes: of (height, width), None: of any size."""

    channels: int
    size: tuple[int, int] | None
    pixels: Pixels


def _image(body: bytes, inputs: Sequence[Input], resize: images.Resize | None) -> Feed:
    picture = _picture(inputs)
    if picture is None:
        raise _no_image(inputs)
    array = _item(body, inputs[0], picture, resize)
    return Feed({inputs[0].name: array[None]}, 1, batched=False)


def _no_image(inputs: Sequence[Input]) -> PayloadError:
    what = f"this model takes no image: send {describe(inputs)} as JSON or NPY"
    one = inputs[0]
    unsaid = len(inputs) == 1 and len(one.shape) == 4 and one.pixels is None
    if unsaid and {one.shape[1], one.shape[3]} & {1, 3}:  # channels
        what += '; model.json may say what a picture becomes: "image": {"scale": 0.00392157}'
    return PayloadError(what, 415)


def _item(body: bytes, one: Input, picture: _Picture, resize: images.Resize | None) -> Any:
    """Make a picture's file an item of an input."""
    try:
        small = images.read(body, picture.channels, picture.size, resize)
    except ImageError as error:
        raise PayloadError(str(error)) from None
    array = _numbers(small, picture.pixels)
    if not picture.pixels.last:
        array = array.transpose(2, 0, 1)
    dtype = np.dtype(one.dtype or np.float32)
    if dtype.kind != "f" and array.dtype.kind == "f":
        array = np.rint(array)  # whole numbers but for last digits: pictures.check_type
    return array.astype(dtype)


def _in_base64(value: Any, inputs: Sequence[Input], resize: images.Resize | None) -> Feed | None:
    """Items of the pictures that JSON holds as base64; None where it holds none."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].dtype == TEXT:
        return None
    found, picture = encoded.pictures(value, (inputs[0].name,)), _picture(inputs)
    if found is None:
        return None
    if picture is None:
        raise _no_image(inputs)
    items: list[Any] = []
    for number, file in enumerate(found.files, 1):
        try:
            items.append(_item(file, inputs[0], picture, resize))
        except PayloadError as error:
            raise PayloadError(f"item {number}: {error}") from None
        if items[-1].shape != items[0].shape:
            raise PayloadError(f"item {number} is a picture of another size than item 1")
        if number * items[0].size > columns.MOST_CELLS:  # few bytes may be a large picture
            raise PayloadError(f"item {number}: the pictures are too many at once: send fewer")
    return Feed({inputs[0].name: np.stack(items)}, len(items), batched=found.batched)


def _picture(inputs: Sequence[Input]) -> _Picture | None:
    """What pictures a model takes; None: none."""
    one = inputs[0]
    if len(inputs) != 1 or len(one.shape) != 4 or one.pixels is None:
        return None
    axes = (3, 1, 2) if one.pixels.last else (1, 2, 3)
    channels, height, width = (one.shape[axis] for axis in axes)
    if channels not in (1, 3) or (height == ANY) != (width == ANY):
        return None
    return _Picture(channels, None if height == ANY else (height, width), one.pixels)


def _numbers(values: Any, pixels: Pixels) -> Any:
    """Bring a picture's values (h, w, c) into those that the model takes."""
    if pixels.reverse:
        values = values[:, :, ::-1]
    if (pixels.mean, pixels.std, pixels.scale) == ((0.0,), (1.0,), 1.0):
        return values
    scaled = values.astype(np.float32) * np.float32(pixels.scale)
    return (scaled - np.float32(pixels.mean)) / np.float32(pixels.std)


def _lines(body: bytes) -> tuple[list[Any], bool]:
    """Read one item a line; the items, and whether there is any text in them."""
    items, has_text = [], False
    for number, line in enumerate(body.splitlines(), 1):
        if not line.strip():
            continue
        try:
            item, text = payloads.load_json(line)
        except PayloadError as error:
            raise PayloadError(f"line {number}: {error}") from None
        items.append(item)
        has_text = has_text or text
    if not items:
        raise PayloadError("the body has no items")
    return items, has_text


def _held(
    value: Any, has_text: bool, inputs: Sequence[Input], resize: images.Resize | None
) -> Feed:
    """Take what JSON said."""
    value = _unwrapped(value, inputs)
    if has_text:
        pictures = _in_base64(value, inputs, resize)
        if pictures is not None:
            return pictures
    value = _by_input(value)
    if not isinstance(value, dict):
        if len(inputs) != 1:
            names = ", ".join(i.name for i in inputs)
            raise PayloadError(f"this model has several inputs: send an object with {names}")
        value = {inputs[0].name: value}
    _check_names(value, inputs)
    return _feed({i.name: _input(value[i.name], i, has_text=has_text) for i in inputs}, inputs)


def _input(value: Any, one: Input, *, has_text: bool) -> Any:
    """Make an array of what JSON says of an input."""
    if one.dtype == TEXT:
        return _texts(value, one.name)
    if has_text:
        _refuse_text(value)  # NumPy would make room for the longest of them everywhere
    return _array(value, one.name)


def _texts(value: Any, name: str) -> Any:
    """An array of objects of texts in lists, whose lengths are the same."""
    shape, items = [], [value]
    while items and isinstance(items[0], list):
        if not all(isinstance(one, list) and len(one) == len(items[0]) for one in items):
            raise PayloadError(f"{name!r} is not rectangular: its lists differ in length")
        shape.append(len(items[0]))
        items = [inner for one in items for inner in one]
    if not all(isinstance(one, str) for one in items):
        raise PayloadError(f"{name!r} is not a rectangular list of texts")
    array: Any = np.array([*items, None], object)[:-1]  # by itself NumPy would look into them
    return array.reshape(shape)


def _unwrapped(value: Any, inputs: Sequence[Input]) -> Any:
    """Take the values out of what wraps them, where that is not the input of the model.

    An object of one member does not hold several inputs, whatever one of them is called.
    """
    if not isinstance(value, dict):
        return value
    names = [one.name for one in inputs] if len(inputs) == 1 else []
    return payloads.within(value, [one for one in _WRAPPERS if one not in names])


def _by_input(value: Any) -> Any:
    """Make of items, each an object by input, the items of each input."""
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return value
    for number, item in enumerate(value):
        if not isinstance(item, dict) or item.keys() != value[0].keys():
            raise PayloadError(f"item {number + 1} has other inputs than item 1")
    return {name: [item[name] for item in value] for name in value[0]}


def _refuse_text(value: Any) -> None:
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            text = brief(one)
            raise PayloadError(f"the body is not a rectangular list of numbers: it has {text!r}")
        if isinstance(one, (list, dict)):
            left += one.values() if isinstance(one, dict) else one


def _check_names(value: Mapping[str, Any], inputs: Sequence[Input]) -> None:
    names = [i.name for i in inputs]
    if sorted(value) != sorted(names):
        given = ", ".join(map(brief, sorted(value)[:8])) or "nothing"
        raise PayloadError(f"the inputs are {', '.join(names)}, the body has {given}")


def _array(value: Any, name: str, make: Callable[..., Any] = np.array) -> Any:
    kind = object if not isinstance(value, (list, int, float)) else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy before 1.24 only warns of ragged lists
            array = make(value, dtype=kind)
    except OverflowError:
        raise PayloadError(f"{name!r} holds a number that is too large") from None
    except (ValueError, Warning, RecursionError):
        raise PayloadError(f"{name!r} is not rectangular: its lists differ in length") from None
    if array.dtype.kind not in "biuf":
        raise PayloadError(f"{name!r} is not a rectangular list of numbers")
    return array


def _npy(body: bytes, inputs: Sequence[Input]) -> Feed:
    if len(inputs) != 1 or inputs[0].dtype == TEXT:
        what = "takes texts" if len(inputs) == 1 else "has several inputs"
        raise PayloadError(f"this model {what}: send {JSON}", 415)
    try:
        declared = npy.header(body)
        _check_shape(declared.shape, inputs[0])
        array = npy.array(body, declared)
    except npy.NpyError as error:
        raise PayloadError(f"the body is not an NPY array: {error}") from None
    return _feed({inputs[0].name: array}, inputs)


def fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether an array of that shape is one of those that are `wanted`."""
    pairs = zip(shape, wanted)  # noqa: B905 - Python 3.8
    return len(shape) == len(wanted) and all(w in (ANY, n) for n, w in pairs)


def _sizes(shape: Sequence[int]) -> str:
    """Write a shape as people know it; "any" for a size that may be of any."""
    if not shape:
        return "one number"
    return f"[{', '.join('any' if n == ANY else str(n) for n in shape)}]"


def _check_shape(shape: Sequence[int], one: Input) -> None:
    if not one.batched:
        if not fits(shape, one.shape):
            raise PayloadError(
                f"{one.name!r} has the shape {list(shape)}: send {_sizes(one.shape)}"
            )
        return
    item = one.shape[1:]
    if fits(shape, item) or (fits(shape[1:], item) and len(shape) == len(one.shape)):
        return
    raise PayloadError(
        f"{one.name!r} has the shape {list(shape)}: send {_sizes(item)}, or a batch of them"
    )


def _feed(arrays: dict[str, Any], inputs: Sequence[Input]) -> Feed:
    for one in inputs:
        _check_shape(arrays[one.name].shape, one)
    ready = {i.name: _cast(arrays[i.name], i) for i in inputs}
    if not inputs[0].batched or len({i.shape[0] for i in inputs}) != 1:
        return _whole(ready, inputs)
    return _items(ready, inputs)


def _whole(arrays: Mapping[str, Any], inputs: Sequence[Input]) -> Feed:
    """Take inputs that have no batch axis in common: each in its very shape."""
    for one in inputs:
        if not fits(arrays[one.name].shape, one.shape):
            raise PayloadError(
                f"{one.name!r} has the shape {list(arrays[one.name].shape)}: send "
                f"{_sizes(one.shape)}"
            )
    items = inputs[0].shape[0] if inputs[0].batched else 1
    return Feed(arrays, items, batched=True)


def _items(arrays: dict[str, Any], inputs: Sequence[Input]) -> Feed:
    batched = {arrays[i.name].ndim == len(i.shape) for i in inputs}
    if len(batched) != 1:
        raise PayloadError("some inputs have the batch axis and some do not")
    if batched == {False}:
        arrays = {name: array[None] for name, array in arrays.items()}
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1 or counts == {0}:
        raise PayloadError(f"the batch is empty or differs between inputs: {sorted(counts)} items")
    return Feed(arrays, counts.pop(), batched=True in batched)


def _cast(array: Any, one: Input) -> Any:
    """Bring an array into the type of its input, which must be able to hold its numbers."""
    if one.dtype == TEXT:
        return array
    wanted = np.dtype(one.dtype or np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        ready = array.astype(wanted)
    if wanted.kind == "f" and not np.isfinite(ready).all():
        raise PayloadError(f"{one.name!r} holds a number that is NaN, infinite or beyond {wanted}")
    if wanted.kind != "f" and not np.array_equal(ready, array):
        raise PayloadError(f"{one.name!r} holds a number that is not a valid {wanted}")
    # of whole numbers beside others NumPy makes float64
    if wanted.kind != "f" and array.dtype.kind == "f" and may_be_rounded(array).any():
        raise PayloadError(f"{one.name!r} holds a number too large to be read exactly")
    return ready


def describe(inputs: Sequence[Input]) -> str:
    """Say what the model takes: ``data [3, 224, 224]``."""
    return ", ".join(f"{i.name} {_sizes(i.shape[i.batched :])}" for i in inputs)
