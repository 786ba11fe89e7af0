"""What frameworks have in common whose model is one file of data at the top of its folder.

The package of such a framework has a module `model_files` with `detect`, `find` and `options`.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from mmectl.frameworks import base
from mmectl.frameworks.values import ModelError


class OneFile(base.Framework):
    """A framework whose files are read whole and are never code."""

    title: ClassVar[str]
    """Its name as its makers write it."""

    @property
    def model_files(self) -> ModuleType:
        """The module that reads the files."""
        return importlib.import_module(f"mmectl.frameworks.{self.name}.model_files")

    def read(self, data: bytes, name: str, chosen: Any) -> base.Signature:
        """Read a file's bytes; `chosen` are the options of model.json. Raises ModelError."""
        raise NotImplementedError

    def detect(self, folder: Path) -> bool:
        """Whether a file is one of the framework's."""
        return bool(self.model_files.detect(folder))

    def look(
        self, place: base.Place, names: Sequence[str], *, bad: Collection[str], allow_code: bool
    ) -> base.Look:
        """Read the file, unless it is `bad`."""
        del allow_code
        try:
            path = self.model_files.find(place.folder)
            chosen = self.model_files.options(place.folder)
            if path.name in bad:
                return base.Look()
            signature = self.read(path.read_bytes(), path.name, chosen)
        except ModelError as error:
            return base.Look((place.problem(error),))
        notes = place.unread(names, {path.name}, f"not a file of {self.title}'s")
        return base.Look((), notes, signature=signature)
