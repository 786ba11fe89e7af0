"""A handler for Multi Model Server as its documentation and SageMaker's MXNet sample have it.

The yardstick of benchmarks/container.py: MXNet's package and its Module, nothing else done.
Runs in the serving environment, which has MXNet 1.9 for Python 3.8 to 3.11.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import old_numpy  # noqa: F401 - before mxnet

import mxnet as mx  # isort: skip


class Batch(NamedTuple):
    """What Module.forward takes."""

    data: list[Any]


class ModelHandler:
    """Loads a model once, then answers with the five likeliest classes."""

    def __init__(self) -> None:
        self.initialized = False

    def initialize(self, context: Any) -> None:
        """Load the model of the context's model_dir."""
        folder = pathlib.Path(context.system_properties["model_dir"])
        prefix = str(next(folder.glob("*-symbol.json")))[: -len("-symbol.json")]
        shapes = json.loads(next(folder.glob("*-shapes.json")).read_text())
        self.shape = shapes[0]["shape"]
        self.labels = (folder / "synset.txt").read_text().splitlines()
        symbol, arguments, auxiliary = mx.model.load_checkpoint(prefix, 0)
        names = [row["name"] for row in shapes]
        self.module = mx.mod.Module(
            symbol=symbol, context=mx.cpu(), data_names=names, label_names=None
        )
        data_shapes = [(row["name"], tuple(row["shape"])) for row in shapes]
        self.module.bind(for_training=False, data_shapes=data_shapes)
        self.module.set_params(arguments, auxiliary, allow_missing=True, allow_extra=True)
        self.initialized = True

    def preprocess(self, requests: Sequence[Any]) -> list[Any]:
        """Decode and resize."""
        _, _, height, width = self.shape
        images = []
        for request in requests:
            image = mx.image.imdecode(request.get("body"))
            image = mx.image.imresize(image, width, height)
            images.append(mx.nd.transpose(image.astype("float32"), (2, 0, 1)).expand_dims(0))
        return images

    def inference(self, images: Sequence[Any]) -> list[Any]:
        """Compute one image after the other."""
        outputs = []
        for image in images:
            self.module.forward(Batch([image]), is_train=False)
            outputs.append(np.squeeze(self.module.get_outputs()[0].asnumpy()))
        return outputs

    def postprocess(self, outputs: Sequence[Any]) -> list[str]:
        """Name the five likeliest classes of each."""
        answers = []
        for scores in outputs:
            best = np.argsort(-scores)[:5]
            answers.append(
                json.dumps([f"probability={scores[i]:f}, class={self.labels[i]}" for i in best])
            )
        return answers


_service = ModelHandler()


def handle(data: Sequence[Any] | None, context: Any) -> list[str] | None:
    """Load (without data) or answer."""
    if not _service.initialized:
        _service.initialize(context)
    if data is None:
        return None
    return _service.postprocess(_service.inference(_service.preprocess(data)))
