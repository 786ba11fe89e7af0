"""ONNX models, as the commands see them before any upload."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from mmectl.frameworks import base
from mmectl.frameworks.folders import DESCRIPTION
from mmectl.frameworks.onnx import model_files
from mmectl.frameworks.onnx.graph import Value
from mmectl.frameworks.onnx.model_files import MAPS, ModelFiles
from mmectl.frameworks.pictures import SYNSET
from mmectl.frameworks.values import ANY, Input, ModelError

_TENSOR = "tensor"
# Files beside a model that are requests to it
_QUESTIONS = (".csv", ".json", ".npy", ".jpg", ".png")


class ONNX(base.Framework):
    """Networks, trees and pipelines as ONNX graphs."""

    name = "onnx"
    files = ("*.onnx",)
    holds = (
        "a model folder holds one *.onnx, the files of its external data where it has any, and, "
        "for labels, synset.txt"
    )

    def detect(self, folder: Path) -> bool:
        """Whether a file is an ONNX model."""
        return model_files.detect(folder)

    def sample(self) -> base.Sample:
        """A model of two operators, and a row for it."""
        from mmectl.frameworks.onnx import sample

        row = ",".join(map(str, sample.ROW)).encode()
        answer = str(list(sample.ANSWER))
        return base.Sample({"model.onnx": sample.model()}, row, "text/csv", answer)

    def look(
        self, place: base.Place, names: Sequence[str], *, bad: Collection[str], allow_code: bool
    ) -> base.Look:
        """Read the graph to its end: every name, tensor, operator and file of it."""
        del allow_code  # no graph runs code
        from mmectl.frameworks.onnx import graph_checks

        try:
            model = model_files.read(place.folder, nodes=True)
        except ModelError as error:
            told = error.file in bad
            return base.Look() if told else base.Look((place.problem(error),))
        name = model.path.name
        problems = [
            base.Problem(place.file(name), what, fix)
            for what, fix in graph_checks.problems(model.proto)
        ]
        if wrong := _labels(model):
            problems.append(base.Problem(place.file(SYNSET), *wrong))
        read = {path.name for path in model.every_file()} | {SYNSET, DESCRIPTION}
        notes = place.unread(names, read, "not a file of the model", _QUESTIONS)
        return base.Look(tuple(problems), notes, signature=_signature(model))


def _labels(model: ModelFiles) -> tuple[str, str] | None:
    """Why the labels are none of the first output's classes."""
    shape = model.outputs[0].shape
    if model.labels is None or not shape or not all(isinstance(n, int) for n in shape[1:]):
        return None
    count = _product(shape[1:])
    if count == len(model.labels):
        return None
    what = f"has {len(model.labels):,} labels for {count:,} classes of the model"
    return what, "write one label on each line, in the order of training"


def _product(sizes: Sequence[object]) -> int:
    made = 1
    for size in sizes:
        made *= size if isinstance(size, int) else 1
    return made


def _signature(model: ModelFiles) -> base.Signature:
    """What the graph says of what goes in and comes out."""
    first = model.outputs[0]
    known = first.kind != MAPS and first.shape and all(isinstance(n, int) for n in first.shape[1:])
    opsets = [f"opset {n}{f' of {d}' if d else ''}" for d, n in sorted(model.proto.opsets.items())]
    version = ", ".join([*filter(None, [model.proto.producer]), *opsets])
    outputs = _product(first.shape[1:]) if known and first.shape else None
    return base.Signature(
        version or None,
        inputs=tuple(map(_value, model.inputs)),
        outputs=outputs,
        gives=tuple(map(_value, model.outputs)),
        classes=len(model.labels) if model.labels else None,
    )


def _value(value: Value) -> Input:
    """What goes in or comes out; a size that the graph only names may be any."""
    shape = tuple(size if isinstance(size, int) else ANY for size in value.shape or ())
    return Input(value.name, shape, value.dtype if value.kind == _TENSOR else value.kind)


FRAMEWORK = ONNX()
