"""What a model of PyTorch's is made of, told by content; no PyTorch needed, nothing runs.

One file: TorchScript (torch.jit.save), an exported program (torch.export.save), or a pickled module
(torch.save). All three are programs, which PyTorch runs with the rights of its process: they are
served where that is allowed. How it is asked may be said in model.json::

    {"framework": "pytorch", "inputs": {"x": ["N", 3, 224, 224]}, "image": {"scale": 0.0039}}

An axis that is no number is of any size; {"shape": [..], "dtype": "int64"} gives the type, too.
`mmectl models check` reads the files with this very module.
"""

from __future__ import annotations

import base64
import json
import pickle
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# relative: mmectl/frameworks/pytorch links here, and beside it to these
from ..folders import describe, files, first_bytes, inside  # noqa: TID252
from ..pictures import SYNSET, labels, pixels  # noqa: TID252
from ..values import ANY, ModelError, Pixels  # noqa: TID252
from . import names

SCRIPT, EXPORT, PICKLE = "TorchScript", "torch.export", "pickle"
ENDINGS = (".pt", ".pth", ".pt2", ".ptl", ".ts")
OPTIONS = ("inputs", "image")
INTO_MODULE = (
    "load the weights into their module and save that: torch.jit.script(module).save('model.pt')"
)
ALLOW_CODE = "MMECTL_ALLOW_MODEL_CODE"
_ALLOWED = ("true", "1")
# how PyTorch before 1.6 begins its files: a pickle of a number of its own
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
SAVE = "save it with torch.jit.save or torch.export.save"
ONNX = "convert it to ONNX, which contains no code: mmectl models export FILE --to FOLDER"
TYPES = (
    "float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool",
)  # fmt: skip
# ScalarType of torch._export.serde.schema
_SCALARS = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32",
    8: "float64", 12: "bool",
}  # fmt: skip
_FORM = '"inputs": {"x": ["N", 4]}'
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
_MOST_JSON = 256 << 20
# what comes of reading a damaged archive, and what is in it
_UNSOUND = (
    OSError, ValueError, LookupError, TypeError, AttributeError, zlib.error, RecursionError,
    EOFError, zipfile.BadZipFile, NotImplementedError,
)  # fmt: skip
# A TorchScript that halves what it is given; what a new image is tried with
SAMPLE = zlib.decompress(
    base64.b64decode(
        b"eNp1Us9LwzAUbvdDtKiIjIG3eFthdgPZpaBehaHuoDgYEtI23cqyZkvTuR2UeRD8K8R/QU+ePHoXPHvx3/BgslnLwpby"
        b"4Gve97338iWNejZX0GZrV3t9/6nWBZKxIaKDiF/xEEdWv0smGRdCTpnbgdA4FhljoJl3N6XmqmByhoIwCNsD/aFZFP8w"
        b"iKAfEwId5HavEfNgh9LuIHMaO4Os1Zjr+nT09vwpkIxi0tWlHq7897P6Y5egKAKyb+mEejHBpm0AAGEfMdTDHLMIQnAA"
        b"WlfTXSf2/bmtZEBgA4dSIkkLRxT5sz4PaIhISxKl1sM+8CmTnFKEiW+DdDA5UFlwABjZ4ByHEWUm2Dv8g/Y0wzCPWQim"
        b"EqsXk9KoDKpWzTTmfehV1i5zAsnYTn0II45CHs2uwFS8+3hsX2QEkrGeaIbi5OIE+0r9+4PvnRWBZGwmXGfMMWUeZiTg"
        b"nOBGXc8UsstfRLImuqa+D1WqXmsqHS69ZLWGakla41ZfZJCqV+1J9S/6vFmqUjUrVX7pqnWNel7StLz4aiK7Jdtpv1Kq"
        b"xfg="
    )
)


@dataclass(frozen=True)
class Value:
    """An input: its shape, the batch's axis first, ANY for a size that may be of any."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Header:
    """What a model's file says of it; `inputs` None: it does not say.

    `rows`: whether an exported program answers each row by one of its own, None: it does not say.
    `module` is the class of a pickled module. `arguments`: what an exported program calls its
    inputs, where model.json says them.
    """

    kind: str
    inputs: tuple[Value, ...] | None = None
    version: str | None = None
    module: str | None = None
    rows: bool | None = None
    arguments: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ModelFiles:
    """A model: its file, what that says, its labels, and how pictures become numbers."""

    path: Path
    header: Header
    labels: tuple[str, ...] | None
    pixels: Pixels | None


def kind_of(path: Path) -> str | None:
    """In which format a file is; None: in none of PyTorch's."""
    start = first_bytes(path, 64)
    if start.startswith(_LEGACY):
        return PICKLE
    if not start.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return _kind(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return SCRIPT if path.suffix in ENDINGS else None


def _kind(members: Sequence[str]) -> str | None:
    held = {name.partition("/")[2] or name for name in members}
    if "constants.pkl" in held and any(name.startswith("code/") for name in held):
        return SCRIPT
    if "serialized_exported_program.json" in held or (
        "archive_format" in held and any(n.startswith(("models/", "data/")) for n in held)
    ):
        return EXPORT
    return PICKLE if "data.pkl" in held else None


def detect(folder: Path) -> bool:
    """Whether a folder holds a file of PyTorch's."""
    return any(kind_of(path) is not None for path in files(folder))


def find(folder: Path) -> Path:
    """The model's file: the only one, else that which is called model. Raises ModelError."""
    held = files(folder)
    found = [path for path in held if kind_of(path) is not None]
    called = [path for path in found if path.stem == "model"]
    if len(found) > 1 and len(called) != 1:
        listed = ", ".join(path.name for path in found[:4])
        raise ModelError(f"holds several models: {listed}", "", "keep one, or call it model.pt")
    if not found:
        listed = ", ".join(path.name for path in held[:8]) or "nothing"
        raise ModelError(f"holds no file of PyTorch's: it holds {listed}", "", SAVE)
    return (called or found)[0]


def read(folder: Path) -> ModelFiles:
    """Read a model folder as far as serving needs. Raises ModelError."""
    path = find(folder)
    options = describe(folder).only(OPTIONS)
    try:
        found = header(path)
    except pickle.UnpicklingError as error:
        raise ModelError(str(error), path.name, SAVE) from None
    told = _told(options.get("inputs"))
    if told is not None:
        own = tuple(one.name for one in found.inputs or () if one.name) or None
        found = replace(found, inputs=told, rows=None, arguments=own)
    held = labels(inside(folder) / SYNSET)
    return ModelFiles(path, found, held, pixels(options.get("image")))


def allowed(path: Path, variable: str | None) -> bool:
    """Whether a file may be run: the endpoint says so by `variable`, or it is our own sample."""
    if (variable or "").lower() in _ALLOWED:
        return True
    return path.stat().st_size == len(SAMPLE) and path.read_bytes() == SAMPLE


def header(path: Path) -> Header:
    """Read what a file says of itself. Raises ModelError, UnpicklingError."""
    kind = kind_of(path)
    if kind == PICKLE and first_bytes(path, 2) != b"PK":
        return Header(PICKLE)  # of a form that PyTorch left in 2020: it tells at the load
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.partition("/")[2] or name: name for name in archive.namelist()}
            if kind == SCRIPT:
                return _script(archive, members)
            if kind == EXPORT:
                return _export(archive, members)
            return _pickled(path, archive, members)
    except _UNSOUND as error:
        raise ModelError(f"is not a valid PyTorch file ({error})", path.name, SAVE) from None


def check_whole(path: Path) -> None:
    """Read every member of an archive to its end. Raises ModelError for one that is damaged."""
    if first_bytes(path, 2) != b"PK":
        return
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except _UNSOUND as error:
        raise ModelError(f"is not a valid PyTorch file ({error})", path.name, SAVE) from None
    if broken:
        raise ModelError(f"is damaged in {broken}", path.name, SAVE)


def _member(archive: zipfile.ZipFile, name: str, most: int = _MOST_JSON) -> bytes:
    if archive.getinfo(name).file_size > most:
        raise ValueError(f"{name} is larger than {most >> 20} MiB")
    return archive.read(name)


def _script(archive: zipfile.ZipFile, members: Mapping[str, str]) -> Header:
    """A traced module keeps the shapes that it was traced with."""
    traced = members.get("traced_inputs.pkl")
    if traced is None:
        return Header(SCRIPT)
    made, _ = names.survey(_member(archive, traced))
    held = _arguments(made)
    tensors = [names.tensor(one) for one in held or ()]
    if not tensors or any(one is None or one[1] not in TYPES for one in tensors):
        return Header(SCRIPT)
    given = [one for one in tensors if one is not None]
    # states of a network begin with its layers: no axis is that of a batch then
    any_first = len({sizes[0] for sizes, _ in given if sizes}) == 1
    shapes = [(ANY, *sizes[1:]) if sizes and any_first else tuple(sizes) for sizes, _ in given]
    kinds = [dtype or "" for _, dtype in given]
    return Header(SCRIPT, tuple(map(Value, [""] * len(given), shapes, kinds)))


def _arguments(made: Any) -> list[Any] | None:
    """What the method forward was traced with; lists and dicts come in tags of their types."""
    methods = _untagged(made)
    held = _untagged(methods.get("forward")) if isinstance(methods, dict) else None
    return held if isinstance(held, list) else None


def _untagged(made: Any) -> Any:
    tagged = isinstance(made, names.Stand) and made.label[1] == "restore_type_tag"
    return made.arguments[0] if tagged and made.arguments else made


def _export(archive: zipfile.ZipFile, members: Mapping[str, str]) -> Header:
    programs = [name for name in members if re.fullmatch(r"models/[^/]+\.json", name)]
    old = "serialized_exported_program.json"
    if not programs and old not in members:
        raise ValueError("it holds compiled code and no program")
    program = "models/model.json" if "models/model.json" in programs else (programs or [old])[0]
    said = json.loads(_member(archive, members[program]))
    module = said["graph_module"]
    graph, signature = module["graph"]["tensor_values"], module["signature"]
    inputs = [_value(one["user_input"]["arg"], graph) for one in signature["input_specs"]
              if "user_input" in one]  # fmt: skip
    outputs = [one["user_output"]["arg"] for one in signature["output_specs"]
               if "user_output" in one]  # fmt: skip
    version = said.get("torch_version")
    known = None if any(one is None for one in inputs) else tuple(v for v in inputs if v)
    rows = _rows(known, [_value(one, graph) for one in outputs])
    return Header(EXPORT, known or None, version if isinstance(version, str) else None, rows=rows)


def _value(argument: Mapping[str, Any], graph: Mapping[str, Any]) -> Value | None:
    """A tensor of a program; None for what is none, or of a type that no request can have."""
    if "as_tensor" not in argument:
        return None
    name = argument["as_tensor"]["name"]
    meta = graph[name]
    shape = tuple(one.get("as_int", ANY) for one in meta["sizes"])
    dtype = _SCALARS.get(meta["dtype"])
    return Value(name, shape, dtype) if dtype else None


def _rows(inputs: Sequence[Value] | None, outputs: Sequence[Value | None]) -> bool | None:
    """Whether each row has an answer of its own, by the first axes."""
    if not inputs or not inputs[0].shape:
        return None
    first = inputs[0].shape[0]
    return all(one is not None and one.shape[:1] == (first,) for one in outputs)


def _pickled(path: Path, archive: zipfile.ZipFile, members: Mapping[str, str]) -> Header:
    made, found = names.survey(_member(archive, members["data.pkl"]))
    label = ".".join(made.label) if isinstance(made, names.Stand) else type(made).__name__
    if all(names.is_of_tensors(one) for one in found):
        raise ModelError(
            "holds weights alone (a state_dict): nothing says how to compute with them", path.name,
            INTO_MODULE,
        )  # fmt: skip
    if label in ("dict", "list", "tuple", "collections.OrderedDict"):
        raise ModelError(
            f"is a {label} (a checkpoint), no module", path.name,
            INTO_MODULE,
        )  # fmt: skip
    return Header(PICKLE, module=label)


def _told(given: Any) -> tuple[Value, ...] | None:
    """The inputs that model.json names, in the order of forward's arguments. Raises ModelError."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or not given:
        raise ModelError(
            'says "inputs" in a form that is not known', "model.json", f"write {_FORM}"
        )
    return tuple(_told_one(name, one) for name, one in given.items())


def _told_one(name: str, given: Any) -> Value:
    entry = given if isinstance(given, Mapping) else {"shape": given}
    sizes: Any = entry.get("shape")
    dtype = entry.get("dtype", "float32")
    sound = isinstance(sizes, list) and 0 < len(sizes) <= 8 and set(entry) <= {"shape", "dtype"}
    if not sound or not _NAME.fullmatch(name) or dtype not in TYPES:
        what = f'says "inputs" of {name[:40]!r} in a form that is not known'
        raise ModelError(what, "model.json", f"write {_FORM}; types are {', '.join(TYPES)}")
    shape = tuple(one if type(one) is int else ANY for one in sizes)
    if any(one != ANY and not 0 < one < 1 << 31 for one in shape):
        raise ModelError(f"names a size of {name!r} that is none", "model.json", f"write {_FORM}")
    return Value(name, shape, dtype)
