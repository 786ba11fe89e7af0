"""MXNet as a runtime; its library is loaded when it is needed, see base.py."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtimes import base
from runtimes.mxnet.settings import SETTINGS
from runtimes.values import EngineError, ModelError

if TYPE_CHECKING:
    from runtimes.mxnet.model_files import ModelFiles

MIB = 2**20
# Of a worker with a model, beyond its weights: measured 18 MB (ResNet-18) to 45 (ResNet-152) where
# it was forked warm, and 25 more where it loads everything itself
WORKER_BYTES = 32 * MIB
WEIGHTS = 1.1  # times the size of the .params file: one array at a time is rearranged


class Model(base.TensorModel):
    """One network with its weights."""

    def __init__(self, files: ModelFiles, threads: int) -> None:
        from runtimes.mxnet.predictor import Predictor

        self.name = files.name
        self.inputs = files.inputs
        self.labels = files.labels
        self.batch = files.inputs[0].shape[0]
        self._predictor = Predictor(files.symbol, files.params, files.inputs, threads)
        self.likelihood = self._predictor.likelihood

    def run(self, feed: Mapping[str, Any], threads: int) -> list[Any]:
        """Run one forward pass."""
        return self._predictor.run(feed, threads)

    def check(self, outputs: Sequence[Any]) -> None:
        """Compare the number of labels with that of classes."""
        shape = outputs[0].shape[1:]
        if self.labels is not None and len(self.labels) != math.prod(shape):
            raise ModelError(_unlabelled(len(self.labels), shape))

    def release(self) -> bool:
        """Give back the memory of activations."""
        self._predictor.release()
        return False


class MXNet(base.Runtime):
    """MXNet 1.9 by its C API."""

    name, title = "mxnet", "MXNet"
    files = ("*-symbol.json", "*-0000.params", "*-shapes.json")
    template_files = ("-symbol.json", "-shapes.json")
    environment = SETTINGS
    noise = ("legacy_json_util", "graph_executor")
    fork_after_load = True

    def installed(self) -> bool:
        """Whether the package is there."""
        return importlib.util.find_spec("mxnet") is not None

    def detect(self, folder: Path) -> bool:
        """Whether there is a graph or a file of parameters."""
        from runtimes.mxnet import model_files

        return model_files.detect(folder)

    def preload(self) -> None:
        """Run a small network, and import what loads others."""
        from runtimes.mxnet import culprit, predictor, preload  # noqa: F401 - for the forks

        preload.compute()

    def model_name(self, folder: Path) -> str:
        """Tell the name before ``-symbol.json``."""
        from runtimes.mxnet.model_files import find_network

        return find_network(folder).name

    def footprint(self, folder: Path) -> int:
        """Estimate it by the size of the weights."""
        from runtimes.mxnet.model_files import find_network

        return WORKER_BYTES + int(WEIGHTS * find_network(folder).params.stat().st_size)

    def prepare_template(self, folder: Path, threads: Sequence[int]) -> None:
        """Read the network and compute with zeros for weights; reads no weights and no labels."""
        from runtimes.mxnet import predictor
        from runtimes.mxnet.model_files import find_network

        files = find_network(folder)
        predictor.rehearse(files.symbol, files.inputs, threads)

    def load(self, folder: Path, threads: int) -> Model:
        """Load the network and its weights."""
        from runtimes.mxnet.model_files import find

        return Model(find(folder), threads)

    def blame(self, cause: str, folder: Path) -> str:
        """Name the operator that ended the process."""
        from runtimes.mxnet import culprit

        return culprit.describe(cause, folder)

    def use_threads(self, number: int) -> None:
        """Set the number of OpenMP's threads."""
        from runtimes.mxnet import capi

        capi.use_threads(number)

    def resize(self, pixels: Any, height: int, width: int) -> Any | None:
        """Resize by MXNet's own OpenCV."""
        from runtimes.mxnet import capi

        try:
            return capi.resize(pixels, height, width)
        except EngineError:
            return None


def _unlabelled(lines: int, shape: Sequence[int]) -> str:
    """Say why so many labels are none of an output of that shape (of one item)."""
    if sum(size > 1 for size in shape) < 2:
        return f"synset.txt has {lines} lines, the network answers {math.prod(shape)} classes"
    return (
        f"synset.txt has {lines} lines, the network answers {' x '.join(map(str, shape))} numbers "
        "(boxes, maps or steps), not one for each class: leave synset.txt out"
    )


RUNTIME = MXNet()
