"""What is made before any fork: PyTorch imported, a program of each kind loaded and asked."""

from __future__ import annotations

import io
import warnings
from typing import Any

from runtimes.pytorch import model_files, programs


def compute() -> None:
    """Load and ask them, with one thread: the process is to be forked."""
    torch = programs.library()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        half = torch.jit.load(io.BytesIO(model_files.SAMPLE))
        with torch.inference_mode():
            half(torch.ones(1, 2))
        _exported(torch)


def _exported(torch: Any) -> None:
    """Write and read an exported program: what reads one is most of PyTorch's Python."""
    import torch.export as programs_of_export

    row = torch.ones(1, 2)
    made = programs_of_export.export(torch.nn.Linear(2, 2).eval(), (row,))
    buffer = io.BytesIO()
    programs_of_export.save(made, buffer)
    buffer.seek(0)
    with torch.inference_mode():
        programs_of_export.load(buffer).module()(row)
