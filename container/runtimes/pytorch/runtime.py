"""PyTorch as a runtime; it is imported when it is needed, see base.py."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from runtimes import base, process
from runtimes.values import ModelError

MIB = 2**20
# Of a worker with a model, beyond its weights: measured 6 to 20 MB
WORKER_BYTES = 24 * MIB
# Of the peak of a load, times the size of the file: measured 1.1 to 2.1
WEIGHTS = 2.2


class PyTorch(base.Runtime):
    """PyTorch's Python package: TorchScript, exported programs, pickled modules."""

    name, title = "pytorch", "PyTorch"
    files = ("*.pt", "*.pth", "*.pt2")
    fork_after_load = True

    def installed(self) -> bool:
        """Whether the package is there."""
        return importlib.util.find_spec("torch") is not None

    def detect(self, folder: Path) -> bool:
        """Whether a file is one of PyTorch's."""
        from runtimes.pytorch import model_files

        return model_files.detect(folder)

    def preload(self) -> None:
        """Load and ask small programs, with one thread."""
        from runtimes.pytorch import asking, preload, shapes  # noqa: F401 - for forks

        preload.compute()

    def model_name(self, folder: Path) -> str:
        """Tell the name of the file."""
        from runtimes.pytorch import model_files

        return model_files.find(folder).stem

    def footprint(self, folder: Path) -> int:
        """Estimate it by the size of the file."""
        from runtimes.pytorch import model_files

        return WORKER_BYTES + int(WEIGHTS * model_files.find(folder).stat().st_size)

    def load(self, folder: Path, threads: int) -> base.Model:
        """Load the program, where the endpoint allows it to run."""
        from runtimes.pytorch import asking, model_files, programs, shapes

        path = model_files.find(folder)
        if not model_files.allowed(path, os.environ.get(model_files.ALLOW_CODE)):
            raise ModelError(
                "is a program, which this endpoint does not run",
                path.name,
                f"{model_files.ONNX}; or, where you trust whoever wrote it as yourself, "
                f"endpoint.environment: {{{model_files.ALLOW_CODE}: 'true'}}",
            )
        files = model_files.read(folder)
        torch = programs.library()
        torch.set_num_threads(threads)
        torch.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)  # else that of all forks
        module = programs.load(path, files.header.kind)
        program = programs.Program(module)
        values = shapes.inputs(path, files.header, module, program)
        if asking.is_rows(files, values):
            tables = asking.Tables(files, values[0], program)
            if tables.tells_rows_apart():
                return tables
        return asking.Tensors(files, values, program)

    def use_threads(self, number: int) -> None:
        """Compute with so many threads from now on."""
        process.use_threads(number)
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(number)


RUNTIME = PyTorch()
