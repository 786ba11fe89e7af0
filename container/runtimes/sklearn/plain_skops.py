"""skops's files that hold nothing but what most models are made of, read in one pass.

skops reads a file in four: what is in it, nodes of that, whether each of them is trusted, and the
objects; and NumPy evaluates the header of each array. That takes 15 ms for twenty small trees, and
a model that shares a process is read twice. Here each object is made where it is met, if its class
is one of known.NAMES, as skops makes it. `Unusual` is raised for all else, damage
included: skops reads the file then, and says what is wrong with it.
"""

from __future__ import annotations

import ast
import functools
import importlib
import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from runtimes.sklearn import known
from runtimes.sklearn.model_files import SCHEMA

_PROTOCOLS = (0, 1, 2)  # of which the kinds of objects below are the same
# Of a member's local header: its signature, how long its name is, and what follows that
_HEAD, _LOCAL, _ENCRYPTED = struct.Struct("<4s22xHH"), b"PK\3\4", 1
_NPY = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    r"\{'descr': (.{1,4000}), 'fortran_order': (True|False), 'shape': (\([0-9, ]*\)), \} *\n"
)
_DICTS = {("builtins", "dict"), ("sklearn.utils._bunch", "Bunch")}
_KEYS = (str, int, float, bool)
_UNFINISHED = object()
_decoder = json.JSONDecoder()


class Unusual(Exception):
    """The file is for skops itself."""


def load(path: Path) -> Any:
    """The object in a file. Raises Unusual, MemoryError."""
    try:
        members = _Members(path.read_bytes())
        return _Reader(members).made(_known(json.loads(str(members.read(SCHEMA), "utf-8"))))
    except (MemoryError, Unusual):
        raise
    except Exception as error:  # noqa: BLE001 - skops says what is wrong with it
        raise Unusual(repr(error)) from None


def _known(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    protocol = schema["protocol"]
    if type(protocol) is not int or protocol not in _PROTOCOLS:
        raise Unusual(f"protocol {protocol}")
    return schema


class _Members:
    """What is in an archive; parts of it where they are stored, as skops stores them."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._archive = zipfile.ZipFile(io.BytesIO(data))

    def read(self, name: str) -> memoryview:
        """A member's bytes. Raises Unusual, and what zipfile raises."""
        info = self._archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
            return memoryview(self._archive.read(info))
        head = self._data[info.header_offset :][: _HEAD.size]
        signature, named, more = _HEAD.unpack(head)
        start = info.header_offset + _HEAD.size + named + more
        found = self._data[start : start + info.file_size]
        if signature != _LOCAL or len(found) != info.file_size or zlib.crc32(found) != info.CRC:
            raise Unusual("a damaged member")
        return found


class _Reader:
    """Makes the objects of one file; those that it has twice are one."""

    def __init__(self, members: _Members) -> None:
        self._members = members
        self._had: dict[Any, Any] = {}

    def made(self, node: Mapping[str, Any]) -> Any:
        """The object of a node."""
        number = node.get("__id__")
        if number in self._had:
            found = self._had[number]
            if found is _UNFINISHED:
                raise Unusual("an object that holds itself")
            return found
        make = self._makers.get(node["__loader__"])
        if make is None:
            raise Unusual(str(node["__loader__"]))
        if not number:
            return make(self, node)
        self._had[number] = _UNFINISHED
        found = self._had[number] = make(self, node)
        return found

    def _value(self, node: Mapping[str, Any]) -> Any:
        value, end = _decoder.raw_decode(node["content"])
        if end != len(node["content"]):
            raise Unusual("a value with something behind it")
        return value

    def _all(self, nodes: Any) -> list[Any]:
        if type(nodes) is not list:
            raise Unusual("no list")
        return [self.made(one) for one in nodes]

    def _list(self, node: Mapping[str, Any]) -> list[Any]:
        _require(node, "builtins", "list")
        return self._all(node["content"])

    def _tuple(self, node: Mapping[str, Any]) -> tuple[Any, ...]:
        _require(node, "builtins", "tuple")
        return tuple(self._all(node["content"]))

    def _dict(self, node: Mapping[str, Any]) -> dict[Any, Any]:
        if (node["__module__"], node["__class__"]) not in _DICTS:
            raise Unusual("a dictionary of another kind")
        kinds, content = self.made(node["key_types"]), node["content"]
        if len(kinds) != len(content) or any(kind not in _KEYS for kind in kinds):
            raise Unusual("keys of other kinds")
        pairs = zip(kinds, content.items())  # noqa: B905 - of one length
        made: dict[Any, Any] = _kind(node)()
        made.update({kind(key): self.made(value) for kind, (key, value) in pairs})
        return made

    def _array(self, node: Mapping[str, Any]) -> Any:
        import numpy as np

        if node["type"] == "json":
            _require(node, "numpy", "ndarray")
            return self._of_objects(node)
        if node["type"] != "numpy":
            raise Unusual("an array in another form")
        array = _array(self._members.read(node["file"]))
        if (node["__module__"], node["__class__"]) == ("numpy", "ndarray"):
            return array
        kind = _kind(node)
        if not issubclass(kind, np.generic):
            raise Unusual("an array of another kind")
        return kind(array)

    def _of_objects(self, node: Mapping[str, Any]) -> Any:
        import numpy as np

        items, shape = self._all(node["content"]), self.made(node["shape"])
        if len(shape) != 1:
            return np.array(items, dtype="O")
        array: Any = np.ndarray(len(items), dtype="O")
        for index, item in enumerate(items):
            array[index] = item
        return array

    def _object(self, node: Mapping[str, Any]) -> Any:
        kind = _of_sklearn(node)
        made: Any = kind.__new__(kind)
        content = node.get("content")
        if content is not None:
            _fill(made, self.made(content))
        return made

    def _tree(self, node: Mapping[str, Any]) -> Any:
        _require(node, "sklearn.tree._tree", "Tree")
        return self._reduced(node)

    def _loss(self, node: Mapping[str, Any]) -> Any:
        if not node["__module__"].startswith(("sklearn._loss.", "sklearn.linear_model._sgd_fast")):
            raise Unusual("no loss")
        return self._reduced(node)

    def _reduced(self, node: Mapping[str, Any]) -> Any:
        kind = _of_sklearn(node)
        state = self.made(node["content"])
        made = kind(*self.made(node["__reduce__"]["args"]))
        if state:
            made.__setstate__(state)
        return made

    def _random(self, node: Mapping[str, Any]) -> Any:
        _require(node, "numpy.random.mtrand", "RandomState")
        made = _kind(node)()
        made.set_state(self.made(node["content"]))
        return made

    # Methods of an instance would hold it, and with it the file, until the next collection
    _makers: ClassVar[Mapping[str, Callable[[_Reader, Mapping[str, Any]], Any]]] = {
        "JsonNode": _value,
        "TypeNode": lambda _, node: _kind(node),
        "DictNode": _dict,
        "ListNode": _list,
        "TupleNode": _tuple,
        "NdArrayNode": _array,
        "DTypeNode": lambda reader, node: reader.made(node["content"]).dtype,
        "SliceNode": lambda _, node: _slice(node),
        "ObjectNode": _object,
        "TreeNode": _tree,
        "LossNode": _loss,
        "RandomStateNode": _random,
    }


def _fill(made: Any, state: Any) -> None:
    if state is None:
        return
    if hasattr(made, "__setstate__"):
        made.__setstate__(state)
    else:
        made.__dict__.update(state)


def _require(node: Mapping[str, Any], module: str, name: str) -> None:
    if node["__module__"] != module or node["__class__"] != name:
        raise Unusual(f"{node['__module__']}.{node['__class__']} for {module}.{name}")


def _slice(node: Mapping[str, Any]) -> slice:
    content = node["content"]
    parts = [content[part] for part in ("start", "stop", "step")]
    if any(part is not None and type(part) is not int for part in parts):
        raise Unusual("a slice of no numbers")
    return slice(*parts)


def _kind(node: Mapping[str, Any]) -> Any:
    """The known class that a node names."""
    return _class(node["__module__"], node["__class__"])


def _of_sklearn(node: Mapping[str, Any]) -> Any:
    if not node["__module__"].startswith("sklearn."):
        raise Unusual("an object of another package's")
    return _kind(node)


@functools.lru_cache(maxsize=512)
def _class(module: str, name: str) -> Any:
    if (module, name) not in known.NAMES:
        raise Unusual(f"{module}.{name}")
    found = getattr(importlib.import_module(module), name)
    if not isinstance(found, type):
        raise Unusual(f"{module}.{name} is no class")
    return found


def _array(body: memoryview) -> Any:
    """An array in NumPy's format; what is written as NumPy writes it is not evaluated again."""
    import numpy as np

    found = None
    if body[: len(_NPY)] == _NPY:
        (length,) = struct.unpack_from("<H", body, len(_NPY))
        start = len(_NPY) + 2 + length
        found = _HEADER.fullmatch(str(body[len(_NPY) + 2 : start], "latin-1"))
    if found is None:
        return np.load(io.BytesIO(body), allow_pickle=False)
    dtype, shape = _dtype(found[1]), tuple(int(n) for n in found[3][1:-1].split(",") if n.strip())
    count = math.prod(shape)
    if count * dtype.itemsize != len(body) - start:
        raise Unusual("an array of another size than it says")
    flat: Any = np.empty(count, dtype)
    if count:
        flat[:] = np.frombuffer(body, dtype, count, start)
    return flat.reshape(shape[::-1]).T if found[2] == "True" else flat.reshape(shape)


@functools.lru_cache(maxsize=128)
def _dtype(told: str) -> Any:
    import numpy as np

    dtype = np.lib.format.descr_to_dtype(ast.literal_eval(told))
    if dtype.hasobject or not dtype.itemsize:
        raise Unusual("an array of objects")
    return dtype
