"""What a model folder says of pictures and classes, whatever its framework; pure.

synset.txt names the classes, one a line. model.json may say ``"image": {"mean": [..], "std": [..],
"scale": 0.00392}``: how a picture's values, 0 to 255, become the numbers that the network was
trained with: (value * scale - mean) / std. mmectl reads them by this very module.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

# relative: mmectl/frameworks links here, and beside it to these values
from .values import ModelError, Pixels

SYNSET = "synset.txt"
_WHOLE = 1e-4  # how far from a whole number what float32 makes of one may be
_IMAGE_KEYS = {"mean", "std", "scale", "channels"}
_LONGEST_LABELS = 16 << 20


def labels(path: Path) -> tuple[str, ...] | None:
    """The lines of a file of labels; None where there is none. Raises ModelError."""
    if not path.is_file():
        return None
    if path.stat().st_size > _LONGEST_LABELS:
        raise ModelError("is larger than 16 MiB", path.name, "this is not a list of labels")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ModelError("is not text in UTF-8", path.name, "save it as UTF-8") from None
    lines = tuple(line.strip() for line in text.rstrip().splitlines())
    if not any(lines):
        raise ModelError("is empty", path.name, "write one label on each line, or remove it")
    return lines


def pixels(given: Any) -> Pixels | None:
    """What model.json says of pictures; None where it says nothing. Raises ModelError."""
    if given is None:
        return None
    form = 'write "image": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], '
    form += '"scale": 0.00392157}'
    if not isinstance(given, Mapping) or not set(given) <= _IMAGE_KEYS:
        raise ModelError('says "image" in a form that is not known', "model.json", form)
    order = given.get("channels", "RGB")
    mean, std = _numbers(given.get("mean", 0.0)), _numbers(given.get("std", 1.0))
    scale = _numbers(given.get("scale", 1.0))
    sound = None not in (mean, std, scale) and order in ("RGB", "BGR")
    if not sound or 0.0 in (std or ()) or len(scale or ()) != 1:
        raise ModelError('says "image" in a form that is not known', "model.json", form)
    return Pixels(mean or (), std or (), (scale or (1.0,))[0], reverse=order == "BGR")


def check_type(pixels: Pixels, dtype: str | None) -> None:
    """Raise ModelError where an input of whole numbers cannot hold what pictures become."""
    kind = dtype or "float32"
    if kind.startswith("float"):
        return
    bits = int(kind.lstrip("uint") or 1) if kind != "bool" else 1
    least = -(1 << (bits - 1)) if kind.startswith("int") else 0
    count = max(len(pixels.mean), len(pixels.std))
    pairs = zip(_repeated(pixels.mean, count), _repeated(pixels.std, count))  # noqa: B905 - 3.8
    made = [(v * pixels.scale - mean) / std for mean, std in pairs for v in range(256)]
    if any(abs(one - round(one)) > _WHOLE or not least <= round(one) < least + (1 << bits)
           for one in made):  # fmt: skip
        what = f'says "image", and makes numbers of a picture that its input, {kind}, cannot hold'
        raise ModelError(what, "model.json", "leave mean, std and scale to the model")


def _repeated(numbers: tuple[float, ...], count: int) -> tuple[float, ...]:
    return numbers * count if len(numbers) == 1 else numbers


def _numbers(given: Any) -> tuple[float, ...] | None:
    """One number, or one for each of three channels."""
    values = given if isinstance(given, list) else [given]
    sound = all(type(one) in (int, float) and abs(one) < 1e9 for one in values)
    return tuple(map(float, values)) if sound and len(values) in (1, 3) else None
