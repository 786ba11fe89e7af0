"""MXNet's models, as the commands see them before any upload."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from mmectl.frameworks import base
from mmectl.frameworks.mxnet import model_files


class MXNet(base.Framework):
    """Networks with their parameters, shapes and labels."""

    name = "mxnet"
    files = ("*-symbol.json", "*-0000.params", "*-shapes.json")
    holds = (
        "a model folder holds <name>-symbol.json, <name>-0000.params, "
        "<name>-shapes.json and, for labels, synset.txt"
    )

    def sample(self) -> base.Sample:
        """A dense layer that tells light images from dark ones."""
        from mmectl.frameworks.mxnet import sample

        return sample.sample()

    def detect(self, folder: Path) -> bool:
        """Whether there is a graph or a file of parameters."""
        return model_files.detect(folder)

    def model_of(self, file: str) -> str:
        """Its files have its name before the last hyphen."""
        return file.rpartition("-")[0] or super().model_of(file)

    def look(
        self, place: base.Place, names: Sequence[str], *, bad: Collection[str], allow_code: bool
    ) -> base.Look:
        """Read the files, and compare one with another."""
        del allow_code
        from mmectl.frameworks.mxnet import layout

        return layout.look(place, names, bad)


FRAMEWORK = MXNet()
