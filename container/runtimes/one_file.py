"""What runtimes have in common whose model is one file at the top of its folder.

The package of such a runtime has a module `model_files` with `detect` and `find`.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import ClassVar

from runtimes import base

MIB = 2**20


class OneFile(base.Runtime):
    """A framework that is one Python package, whose name is the runtime's."""

    worker_bytes: ClassVar[int] = 16 * MIB
    """What a worker takes beside the model."""
    peak: ClassVar[int]
    """What a load takes at most, times the size of the file."""

    @property
    def model_files(self) -> ModuleType:
        """The module that reads the files; imported when it is needed."""
        return importlib.import_module(f"runtimes.{self.name}.model_files")

    def installed(self) -> bool:
        """Whether the package is there."""
        return importlib.util.find_spec(self.name) is not None

    def detect(self, folder: Path) -> bool:
        """Whether a file is one of the framework's."""
        return bool(self.model_files.detect(folder))

    def shareable(self, folder: Path) -> bool:
        """Whether its file is data alone, as all of the framework's are or none."""
        del folder
        return self.data_alone

    def model_name(self, folder: Path) -> str:
        """Tell the file's name."""
        return str(self.model_files.find(folder).name)

    def footprint(self, folder: Path) -> int:
        """Estimate it by the size of the file."""
        size: int = self.model_files.find(folder).stat().st_size
        return self.worker_bytes + self.peak * size
