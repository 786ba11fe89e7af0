"""ONNX Runtime as a runtime; it is imported when it is needed, see base.py."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runtimes import base

if TYPE_CHECKING:
    from runtimes.onnx.model_files import ModelFiles

MIB = 2**20
# Of a worker with a model, beyond its weights: measured 4 to 9 MB
WORKER_BYTES = 12 * MIB
# Of the peak of a load, times the size of the files: measured 1.0 to 1.5
WEIGHTS = 1.5
# Operators that know what to do with a missing number
_TAKE_MISSING = (b"TreeEnsemble", b"Imputer", b"IsNaN")


class ONNX(base.Runtime):
    """ONNX Runtime's Python package."""

    name, title = "onnx", "ONNX-Runtime"
    files = ("*.onnx",)
    # later versions of it start a thread at import, which tells their authors what is loaded
    environment = {"ORT_DISABLE_TELEMETRY": "1"}  # noqa: RUF012 - as the others have it
    fork_after_load = True
    data_alone = True
    in_large_blocks = True

    def installed(self) -> bool:
        """Whether the package is there."""
        return importlib.util.find_spec("onnxruntime") is not None

    def detect(self, folder: Path) -> bool:
        """Whether a file is an ONNX model."""
        from runtimes.onnx import model_files

        return model_files.detect(folder)

    def shareable(self, folder: Path) -> bool:
        """Whether a model is small; one is data alone, since no library of operators is loaded."""
        from runtimes.onnx import model_files
        from runtimes.onnx.network import SHAREABLE_BYTES

        files = model_files.read(folder).every_file()
        return sum(path.stat().st_size for path in files) <= SHAREABLE_BYTES

    def preload(self) -> None:
        """Load and ask a small model, with one thread."""
        from runtimes.onnx import asking, model_files, network, preload  # noqa: F401 - for forks

        preload.compute()

    def samples(self, folder: Path) -> Sequence[Path]:
        """The one that was preloaded."""
        from runtimes.onnx import sample

        return [self.sample(folder, "model.onnx", sample.model())]

    def model_name(self, folder: Path) -> str:
        """Tell the name of the file."""
        from runtimes.onnx import model_files

        return model_files.find(folder).stem

    def footprint(self, folder: Path) -> int:
        """Estimate it by the size of the files."""
        from runtimes.onnx import model_files

        files = model_files.read(folder).every_file()
        return WORKER_BYTES + int(WEIGHTS * sum(path.stat().st_size for path in files))

    def load(self, folder: Path, threads: int) -> base.Model:
        """Load the model."""
        from runtimes.onnx import asking, model_files
        from runtimes.onnx.network import Network

        files = model_files.read(folder)
        network = Network(files, threads)
        columns = model_files.is_columns(files)
        if columns or model_files.is_rows(files):
            kind, missing = asking.Columns if columns else asking.Tables, _takes_missing(files)
            tables = kind(files, network.run, network.release, missing=missing)
            # outputs of unknown shapes may be of anything
            if model_files.says_rows(files) or tables.tells_rows_apart():
                return tables
        return asking.Tensors(files, network.run, network.release)


def _takes_missing(files: ModelFiles) -> bool:
    """Whether there is an operator that is made for NaN; a network would spread it."""
    places = files.proto.graph.node_fields
    with files.path.open("rb") as file:
        for place in places:
            file.seek(place.start)
            node = file.read(min(place.end - place.start, 4096))
            if any(word in node for word in _TAKE_MISSING):
                return True
    return False


RUNTIME = ONNX()
