"""A pickle of PyTorch's, read without making anything of it: what it names, and of what shapes.

Every name becomes a class of its own that does nothing, so no code of the file or of a library
runs. Tensors' numbers lie in other members of the archive; they are not read.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

MOST_BYTES = 256 << 20


class Stand:
    """Stands for an object: of which name (module, name), made of which arguments."""

    label: tuple[str, str] = ("", "")

    def __new__(cls, *arguments: Any, **_: Any) -> Stand:  # noqa: PYI034 - Python 3.8
        """Make one of whatever arguments."""
        made = super().__new__(cls)
        made.arguments = arguments
        made.state = None
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        self.arguments: tuple[Any, ...]
        self.state: Any

    def __call__(self, *arguments: Any) -> Stand:
        """What a call of it gives, which is no more than a stand either."""
        return Stand(*arguments)

    def __setstate__(self, state: Any) -> None:
        """Keep the state that the object had."""
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Objects that are dicts, too: what they hold is their state."""
        self.state = {**(self.state or {}), key: value}

    def append(self, value: Any) -> None:
        """Objects that are lists, too."""

    def extend(self, values: Any) -> None:
        """Objects that are lists, too."""


class Survey(pickle.Unpickler):
    """Reads a pickle to its end; `names` are all that it names."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.names: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        """A class that does nothing."""
        self.names.add((module, name))
        return type("Name", (Stand,), {"label": (module, name)})

    def persistent_load(self, pid: Any) -> Any:
        """A tensor's storage."""
        return Stand(pid)


def survey(data: bytes) -> tuple[Any, frozenset[tuple[str, str]]]:
    """What stands for the pickled object, and all names. Raises UnpicklingError."""
    reader = Survey(data)
    try:
        made = reader.load()
    except Exception as error:  # noqa: BLE001 - a damaged pickle can raise anything
        what = str(error) or type(error).__name__
        raise pickle.UnpicklingError(f"is not a valid pickle ({what[:160]})") from None
    return made, frozenset(reader.names)


_REBUILD = ("_rebuild_tensor_v2", "_rebuild_tensor")
_PARAMETER = "_rebuild_parameter"
# what a pickle of tensors alone names: storages, and what tensors are made with
_OF_TENSORS = (
    ("collections", "OrderedDict"), ("torch._utils", _PARAMETER),
    *(("torch._utils", name) for name in _REBUILD), ("torch", "Size"), ("torch", "device"),
    ("torch.storage", "UntypedStorage"), ("torch.storage", "TypedStorage"),
)  # fmt: skip


def is_of_tensors(name: tuple[str, str]) -> bool:
    """Whether a name is one that tensors are made with, and containers of them."""
    module, last = name
    kind = module == "torch" and (last.endswith("Storage") or last in _TYPES)
    return kind or name in _OF_TENSORS


_TYPES = ("float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8",
          "bool")  # fmt: skip
_STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool",
}  # fmt: skip


def tensor(made: Any) -> tuple[tuple[int, ...], str | None] | None:
    """The shape and numpy's type of what stands for a tensor; None: it is none."""
    if not isinstance(made, Stand) or made.label[1] not in _REBUILD or len(made.arguments) < 3:
        return None
    storage, _, sizes = made.arguments[:3]
    sound = isinstance(sizes, tuple) and all(isinstance(one, int) for one in sizes)
    if not sound or not isinstance(storage, Stand):
        return None
    place = storage.arguments[0] if storage.arguments else ()
    kind = place[1] if isinstance(place, tuple) and len(place) > 1 else None
    label: Callable[[Any], str] = lambda one: getattr(one, "label", ("", ""))[1]  # noqa: E731
    return sizes, _STORAGES.get(label(kind))
