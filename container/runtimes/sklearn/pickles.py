"""Pickles read without running anything: which names one holds, and what it says of its model.

joblib writes an array as a `NumpyArrayWrapper`, whose bytes follow in the file outside the pickle
(an array of objects: as a pickle of its own). `Reader` knows that form; what arrays and classes are
made of is its subclasses' business: `Survey` here makes nothing of them, loading.py the real ones.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import types
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar

MOST_BYTES = 8 << 30
"""What a compressed file may unpack to while it is surveyed."""
_PICKLE = b"\x80"
_CHUNK = 1 << 20
_SHOWN = 200


class Wrapper:
    """joblib's NumpyArrayWrapper, as its state has it."""

    shape: Any = ()
    order = "C"
    dtype: Any = None
    numpy_array_alignment_bytes: int | None = None


class Zlib(io.RawIOBase):
    """A stream of zlib's, as joblib compresses unless told otherwise."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._inflater = file, zlib.decompressobj()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill some of the buffer."""
        while not self._inflater.eof:
            data = self._inflater.unconsumed_tail or self._file.read(_CHUNK)
            if not data:
                raise EOFError("the compressed data ends too soon")
            got = self._inflater.decompress(data, len(buffer))
            if got:
                buffer[: len(got)] = got
                return len(got)
        return 0


_OPENERS: dict[bytes, tuple[str, Callable[[IO[bytes]], Any]]] = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"BZh": ("bz2", bz2.BZ2File),
    b"\xfd7zXZ": ("xz", lzma.LZMAFile),
    b"]\0\0": ("lzma", lzma.LZMAFile),
    **{
        b"x" + level: ("zlib", lambda file: io.BufferedReader(Zlib(file), _CHUNK))
        for level in (b"\x01", b"\x5e", b"\x9c", b"\xda")
    },
}
LZ4 = b"\x04\x22\x4d\x18"
ENDINGS = (".joblib", ".pkl", ".pickle")


def opened(file: IO[bytes]) -> IO[bytes]:
    """The pickle in a file, which may be compressed as joblib does it; read from its beginning.

    Raises UnpicklingError for lz4, which needs a package.
    """
    start = file.read(8)
    file.seek(0)
    if start.startswith(LZ4):
        raise pickle.UnpicklingError("is compressed by lz4: save it with compress=3 (zlib)")
    for magic, (_, opener) in _OPENERS.items():
        if start.startswith(magic):
            reader: IO[bytes] = opener(file)
            return reader
    return file


def beginning(path: Path, count: int = 1 << 16) -> bytes:
    """How the pickle in a file begins, unpacked; empty where it is none or cannot be read."""
    try:
        with path.open("rb") as file:
            start = opened(file).read(count)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, pickle.UnpicklingError):
        return b""
    return start if start[:1] == _PICKLE or start.startswith((b"ccopy_reg", b"(")) else b""


# Python's own reader in Python: its steps can be replaced, those of the one in C cannot
_Unpickler: Any = pickle._Unpickler


class Reader(_Unpickler):  # type: ignore[misc]
    """Reads a pickle of joblib's or a plain one; `find_class` says what names stand for."""

    dispatch: ClassVar[dict[int, Any]] = dict(_Unpickler.dispatch)

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.file = file

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name; raises UnpicklingError."""
        raise NotImplementedError

    def take(self, wrapper: Wrapper) -> Any:
        """Make the array of numbers whose bytes come next."""
        raise NotImplementedError

    def has_objects(self, wrapper: Wrapper) -> bool:
        """Whether an array's values are objects, which come as a pickle of its own."""
        return bool(wrapper.dtype.hasobject)

    def nested(self) -> Any:
        """Read the pickle that comes next."""
        return type(self)(self.file).load()

    def exactly(self, count: int) -> bytes:
        """The next bytes of the file; raises EOFError where it ends before."""
        data = self.file.read(count)
        if len(data) < count:
            raise EOFError("it ends too soon")
        return data

    def load_build(self) -> None:
        """Set an object's state, or put an array in its wrapper's place."""
        target = self.stack[-2]
        if isinstance(target, (type, types.FunctionType, types.BuiltinFunctionType)):
            raise pickle.UnpicklingError("changes a class or a function")
        super().load_build()
        if isinstance(self.stack[-1], Wrapper):
            self.stack.append(self._array(self.stack.pop()))

    dispatch[pickle.BUILD[0]] = load_build

    def _array(self, wrapper: Wrapper) -> Any:
        if self.has_objects(wrapper):
            return self.nested()
        if wrapper.numpy_array_alignment_bytes is not None:
            self.exactly(self.exactly(1)[0])
        return self.take(wrapper)

    def load_ext(self) -> None:
        """Refuse names that stand for others by number."""
        raise pickle.UnpicklingError("names a class by a number (EXT)")

    for _code in (pickle.EXT1, pickle.EXT2, pickle.EXT4):
        dispatch[_code[0]] = load_ext


class Stand:
    """Stands for an object: of which name, made of which arguments, with which state."""

    def __init__(self, name: tuple[str, str], arguments: tuple[Any, ...]) -> None:
        self.name, self.arguments, self.state = name, arguments, None

    def __setstate__(self, state: Any) -> None:
        """Keep the state that the object had."""
        self.state = state

    def get(self, key: str) -> Any:
        """One attribute of the object; None where it has none of that name."""
        return self.state.get(key) if isinstance(self.state, dict) else None

    def append(self, value: Any) -> None:
        """Objects that are lists, too."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Objects that are dicts, too."""

    def add(self, value: Any) -> None:
        """Objects that are sets, too."""


class Name:
    """Stands for a class or a function of that name: calling it makes a stand."""

    def __init__(self, name: tuple[str, str]) -> None:
        self.name = name

    def __call__(self, *arguments: Any) -> Any:
        """Stand for what a call gives."""
        if self.name[1] in ("_reconstructor", "__newobj__") and arguments:
            made = arguments[0]
            return Stand(made.name if isinstance(made, Name) else self.name, arguments[1:])
        return Stand(self.name, arguments)


class Survey(Reader):
    """Reads a pickle to its end and makes nothing of it; `names` are all that it names."""

    dispatch: ClassVar[dict[int, Any]] = dict(Reader.dispatch)

    def __init__(self, file: IO[bytes], names: set[tuple[str, str]] | None = None) -> None:
        super().__init__(file)
        self.names: set[tuple[str, str]] = set() if names is None else names

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in."""
        if name == "NumpyArrayWrapper" and module.startswith("joblib."):
            return Wrapper
        if (module, name) not in (("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")):
            self.names.add((module, name))
        return Name((module, name))

    def nested(self) -> Any:
        """Survey the pickle that comes next."""
        return Survey(self.file, self.names).load()

    def has_objects(self, wrapper: Wrapper) -> bool:
        """By the letter of the type."""
        return _letter(wrapper.dtype) == "O"

    def take(self, wrapper: Wrapper) -> Any:
        """Skip the array; its shape stands for it."""
        count = _size(wrapper.dtype)
        for length in wrapper.shape:
            count *= length
        while count > 0:
            count -= len(self.exactly(min(count, _CHUNK)))
        return Stand(("numpy", "ndarray"), (wrapper.shape,))

    def load_newobj(self) -> None:
        """Make a stand of the class."""
        arguments = self.stack.pop()
        self.stack[-1] = _made(self.stack[-1], arguments)

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_newobj_ex(self) -> None:
        """Make a stand of the class."""
        self.stack.pop()
        self.load_newobj()

    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex

    def load_reduce(self) -> None:
        """Call nothing but stand-ins."""
        arguments = self.stack.pop()
        self.stack[-1] = _made(self.stack[-1], arguments)

    dispatch[pickle.REDUCE[0]] = load_reduce


def _made(what: Any, arguments: Any) -> Any:
    if what is Wrapper:
        return Wrapper()
    if isinstance(what, Stand):  # cloudpickle makes a class by a call, and calls that
        return Stand(what.name, arguments)
    if not isinstance(what, Name):
        raise pickle.UnpicklingError("calls what is neither a class nor a function")
    return what(*arguments)


def _code(dtype: Any) -> str:
    """How NumPy writes a type: f8, O8, U12, V64."""
    code = dtype.arguments[0] if isinstance(dtype, Stand) and dtype.arguments else ""
    return code if isinstance(code, str) else ""


def _letter(dtype: Any) -> str:
    if _code(dtype)[:1] == "V" and b"'O" in repr(_flat(dtype)).encode():
        return "O"
    return _code(dtype)[:1]


def _flat(dtype: Any) -> list[str]:
    """The codes of a structure's fields."""
    state = dtype.state if isinstance(dtype.state, tuple) else ()
    fields = state[4] if len(state) > 4 and isinstance(state[4], dict) else {}
    return [_code(one[0]) for one in fields.values() if isinstance(one, tuple) and one]


def _size(dtype: Any) -> int:
    """Bytes of one value."""
    code = _code(dtype)
    number = code[1:]
    if not number.isdecimal():
        raise pickle.UnpicklingError(f"has an array of the unknown type {code!r}"[:_SHOWN])
    return int(number) * (4 if code[0] == "U" else 1)


def survey(path: Path) -> tuple[Any, frozenset[tuple[str, str]]]:
    """Read a file to its end: what stands for its object, and all names in it.

    Raises UnpicklingError saying what is wrong with it.
    """
    with path.open("rb") as file:
        try:
            reader = Survey(opened(file))
            made = reader.load()
        except pickle.UnpicklingError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged pickle can raise anything
            what = str(error) or type(error).__name__
            raise pickle.UnpicklingError(f"is not a valid pickle ({what})"[:_SHOWN]) from None
    return made, frozenset(reader.names)
