"""Networks that are the same but for their weights, and what their models can share.

The models behind an endpoint are mostly few networks, trained on different data. What a network
needs besides its weights (its graph, oneDNN's compiled kernels and all that the first pass makes)
is the same for all of them: half of a SqueezeNet's processor time of a load, a third of its memory.
So the second time that a network is loaded, a process forked from the nursery gets it ready, and
further models with that network are forked from there (nursery.py).

That process reads the network and its shapes alone, no weights and no labels; and only models
that bring the very same bytes come from it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from runtimes.mxnet import model_files, predictor

from serving.workers import cpu, launcher, memory

LARGE = 64 * memory.MIB  # of weights


@dataclass(frozen=True)
class Family:
    """A network and the shapes of its inputs; `socket` is where its process listens."""

    files: model_files.NetworkFiles
    socket: Path

    def again(self) -> bool:
        """Whether this is not the first time that this was asked."""
        try:
            os.close(os.open(self.socket.with_suffix(""), os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return True
        return False

    def fits(self) -> bool:
        """Whether there is plenty of memory to get it ready beside the models."""
        return memory.ample(self.files.params.stat().st_size, memory.free())

    @property
    def large(self) -> bool:
        """Whether to get it ready is work that others would feel."""
        return self.files.params.stat().st_size > LARGE

    def get_ready(self, threads: int) -> None:
        """Make what all its models need, with zeros for weights.

        Raises what loading a model raises. Kernels for fewer threads too, where that is quick.
        """
        fewer = [] if self.large else cpu.fewer(threads)
        with memory.expendable(), memory.loading(), memory.confined(os.environ):
            predictor.rehearse(self.files.symbol, self.files.inputs, [threads, *fewer])


def find(model: Path, folder: Path) -> Family | None:
    """Find the family of a model folder, with its socket in `folder`; None for what is no model."""
    try:
        files = model_files.find_network(model)
    except (OSError, model_files.ModelError):
        return None  # its worker will say so
    network = launcher.network(str(model))
    return Family(files, folder / launcher.FAMILY.format(network)) if network else None
