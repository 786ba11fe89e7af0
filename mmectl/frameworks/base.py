"""The seam between the commands and a framework: what is known of its models before any upload.

A framework is a package beside this file with a module `framework` that has a `FRAMEWORK`;
detect.py finds it by that. Nothing here runs code of a model or needs the framework: its files are
read by the pure modules that the container reads them with (links into container/runtimes).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mmectl.frameworks.folders import DESCRIPTION
from mmectl.frameworks.pictures import SYNSET
from mmectl.frameworks.values import Input, ModelError

BAD = "bad_model"
ALLOW = "endpoint.environment: {MMECTL_ALLOW_MODEL_CODE: 'true'}"
MUST_ALLOW = f": the endpoint must allow it ({ALLOW})"
"""In a note of what runs as code."""
_CODES = {DESCRIPTION: "model_description", SYNSET: "model_labels"}
_LISTED = 5
_SHOWN = 10


def printable(text: str) -> str:
    """Text from files: what would move a terminal's cursor or cannot be printed is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def some(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    shown = sorted(names)
    more = len(shown) - _LISTED
    return ", ".join(shown[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def summed(problems: Sequence[str], what: str = "problems") -> list[str]:
    """Problems as lines for people: the first few, and how many more there are."""
    more = len(problems) - _SHOWN
    return [*problems[:_SHOWN], *([f"... and {more:,} more {what}"] if more > 0 else [])]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to fix; reads ``path: what: fix``. `code` as base/codes.py lists them."""

    path: str
    what: str
    fix: str
    code: str = BAD

    def __str__(self) -> str:
        return printable(": ".join(part for part in (self.path, self.what, self.fix) if part))


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives, as far as its files tell.

    `version` is the framework's that wrote it, `task` in the framework's own word. `inputs` are
    those of a model of tensors, and `gives` what comes out of it; `features` the number of columns
    of a table, `names` what they are called. `outputs`: numbers that it answers for one item or
    row. `classes`: how many it tells apart.
    """

    version: str | None = None
    task: str | None = None
    inputs: tuple[Input, ...] = ()
    features: int | None = None
    names: tuple[str, ...] | None = None
    outputs: int | None = None
    gives: tuple[Input, ...] = ()
    classes: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a model finds: what keeps it from being served, and what is only told.

    `framework` is the name of the one that it is for; "" where that cannot be told.
    """

    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    framework: str = ""
    signature: Signature | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A model's folder, and how people call it: by its path, or as a tarball and its members."""

    folder: Path
    tarball: str | None = None
    top: Path | None = None

    def whole(self) -> str:
        """The folder or the tarball itself."""
        return self.tarball or str(self.folder)

    def file(self, name: str) -> str:
        """One file of it."""
        path = self.folder / name
        if self.tarball is None:
            return str(path)
        return f"{self.tarball}: {path.relative_to(self.top or self.folder)}"

    def problem(self, error: ModelError) -> Problem:
        """What the container's reader says of it."""
        where = self.file(error.file) if error.file else self.whole()
        code = getattr(error, "code", None) or _CODES.get(error.file, BAD)
        return Problem(where, error.what, error.fix, code)

    def unread(
        self,
        names: Iterable[str],
        known: Collection[str],
        what: str,
        questions: tuple[str, ...] = (".csv", ".json"),
    ) -> tuple[str, ...]:
        """Notes on the files that are not `known`, nor questions by their endings.

        `what` they are not ("not a file of the model").
        """
        return tuple(
            printable(f"{self.file(name)}: is {what}: nothing reads it")
            for name in names
            if name not in known and not name.endswith(questions)
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """A tiny model, a request to it, and a text that the answer has in it; for trying an image.

    `expect` "": images/asking.py knows what the handler says.
    """

    files: Mapping[str, bytes]
    body: bytes
    content_type: str
    expect: str

    def write(self, folder: Path) -> None:
        """Write the model into a new folder."""
        folder.mkdir()
        for name, content in self.files.items():
            (folder / name).write_bytes(content)


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a model becomes ONNX: a script for the Python that has the framework, and its orders.

    `kind` is the format of the file, `inputs` what is known of them. The script's protocol is in
    conversion.py.
    """

    worker: Path
    model: Path
    kind: str
    inputs: tuple[Input, ...] = ()


class Framework:
    """One framework. Methods read files and execute nothing of them."""

    name: ClassVar[str]
    files: ClassVar[Sequence[str]]
    """What the well-known files of a model are called, as patterns of fnmatch."""
    holds: ClassVar[str]
    """What a model folder holds, for a person whose folder is none."""
    code: ClassVar[bool] = False
    """Whether a model may be code (pickles, scripts), which `--allow-code` lets pass."""
    nested: ClassVar[bool] = False
    """Whether a model may have folders, and files of any name in them."""
    claims: ClassVar[bool] = False
    """Whether a folder that it detects is for it, whatever other framework's files are in it."""

    def sample(self) -> Sample | None:
        """A model of our own that the image is tried with; None: none."""
        return None

    def detect(self, folder: Path) -> bool:
        """Whether a model folder is for this framework; by names or content."""
        raise NotImplementedError

    def model_of(self, file: str) -> str:
        """What a model is called that has a file of that name, where it lies beside others."""
        return Path(file).stem

    def conversion(self, path: Path, *, weights: bool) -> Conversion | None:
        """How a model, a file or a folder, becomes ONNX; None: it is served as it is.

        `weights`: it may be weights alone, whose network is told otherwise. Raises ModelError.
        """
        del path, weights
        return None

    def look(
        self, place: Place, names: Sequence[str], *, bad: Collection[str], allow_code: bool
    ) -> Look:
        """Look at a model: `names` are the files of `place` that are sound as such.

        Those that are `bad` are told of already: nothing more is said of them. Problems come in the
        order in which they are to be fixed. The look's `framework` is filled in by whoever asks.
        """
        raise NotImplementedError
