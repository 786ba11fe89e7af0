"""What is made before any fork: ONNX Runtime imported, and a small model loaded and asked."""

from __future__ import annotations

from runtimes.onnx import sample, sessions


def compute() -> None:
    """Load and ask it, with one thread: the process is to be forked."""
    import numpy as np

    session = sessions.open_session(sample.model(), sessions.options(1), "sample")
    sessions.compute(session, ["y"], {"x": np.array([sample.ROW], np.float32)})
