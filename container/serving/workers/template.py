"""Model templates: what models that differ in their weights alone can share.

The models behind an endpoint are mostly few networks, trained on different data. What a network
needs besides its weights (its graph, compiled kernels and all that the first pass makes) is the
same for all of them: half of a SqueezeNet's processor time of a load, a third of its memory. So
the second time that a network is loaded, a process forked from the fork server gets it ready, and
further models with that network are forked from there (prefork.py).

That process reads the template files alone, no weights and no labels; and only models that bring
the very same bytes come from it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from runtimes import registry
from runtimes.base import Runtime

from serving.workers import cpu, launcher, memory

LARGE = 102 * memory.MIB  # of footprint: 64 of weights


@dataclass(frozen=True)
class Template:
    """The template of the model in `folder`; `socket` is where its process listens.

    All that reads the folder may raise OSError and ModelError.
    """

    runtime: Runtime
    folder: Path
    socket: Path

    @property
    def name(self) -> str:
        """What people call it."""
        return self.runtime.model_name(self.folder)

    def seen_before(self) -> bool:
        """Whether this is not the first time that this was asked."""
        try:
            os.close(os.open(self.socket.with_suffix(""), os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return True
        return False

    def fits(self) -> bool:
        """Whether there is plenty of memory to get it ready beside the models."""
        return memory.ample(self.runtime.footprint(self.folder), memory.free())

    @property
    def large(self) -> bool:
        """Whether to get it ready is work that others would feel."""
        return self.runtime.footprint(self.folder) > LARGE

    def prepare(self, threads: int) -> None:
        """Make what all its models need, also for fewer threads where that is quick.

        Raises what loading a model raises.
        """
        fewer = [] if self.large else cpu.fewer(threads)
        with memory.expendable(), memory.loading(), memory.confined(os.environ):
            self.runtime.prepare_template(self.folder, [threads, *fewer])


def find(model: Path, folder: Path) -> Template | None:
    """Find the template of a model folder, with its socket in `folder`; None where it has none.

    Raises ModelError where no runtime takes the model, OSError.
    """
    name = launcher.template(str(model), os.environ.get(launcher.TEMPLATE_FILES, ""))
    if not name:
        return None
    return Template(registry.of(model), model, folder / launcher.TEMPLATE.format(name))
