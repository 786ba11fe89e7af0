"""PyTorch's models, as the commands see them before any upload."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from mmectl.frameworks import base
from mmectl.frameworks.folders import DESCRIPTION
from mmectl.frameworks.pictures import SYNSET
from mmectl.frameworks.pytorch import model_files
from mmectl.frameworks.pytorch.model_files import ModelFiles
from mmectl.frameworks.values import Input, ModelError

_WORKER = Path(__file__).with_name("export_worker.py")
_QUESTIONS = (".csv", ".json", ".npy", ".jpg", ".png")
_SHAPE = '{"framework": "pytorch", "inputs": {"x": ["N", 3, 224, 224]}}'


class PyTorch(base.Framework):
    """TorchScript, exported programs, and pickled modules: one file."""

    name = "pytorch"
    files = ("*.pt", "*.pth", "*.pt2")
    holds = (
        "a model folder holds one file of PyTorch's: torch.jit.script(module).save('model.pt'), or "
        "torch.export.save(program, 'model.pt2')"
    )
    code = True

    def sample(self) -> base.Sample:
        """A program that halves numbers."""
        return base.Sample({"model.pt": model_files.SAMPLE}, b"4,8", "text/csv", "[2.0, 4.0]")

    def detect(self, folder: Path) -> bool:
        """Whether a file is one of PyTorch's."""
        return model_files.detect(folder)

    def conversion(self, path: Path, *, weights: bool) -> base.Conversion | None:
        """As PyTorch's exporters do it."""
        file = model_files.find(path) if path.is_dir() else path
        if model_files.kind_of(file) is None:
            return None
        if weights:
            return base.Conversion(_WORKER, file, "weights")
        header = model_files.header(file)
        if path.is_dir():
            header = model_files.read(path).header
        inputs = tuple(Input(one.name, one.shape, one.dtype) for one in header.inputs or ())
        return base.Conversion(_WORKER, file, header.kind, inputs)

    def look(
        self, place: base.Place, names: Sequence[str], *, bad: Collection[str], allow_code: bool
    ) -> base.Look:
        """Read the archive to its end; nothing of it is made or run."""
        try:
            path = model_files.find(place.folder)
            if path.name in bad:
                return base.Look()
            found = model_files.read(place.folder)
            model_files.check_whole(path)
        except ModelError as error:
            return base.Look((place.problem(error),))
        if not allow_code and not model_files.allowed(path, None):
            what = f"is a program ({found.header.kind}), which the endpoint would run"
            fix = f"{model_files.ONNX}; or, where you trust whoever wrote it: --allow-code, and "
            refused = base.Problem(place.file(path.name), what, fix + base.ALLOW, code="model_code")
            return base.Look((refused,))
        told = [f"{place.file(path.name)}: {note}" for note in _notes(found)]
        read = {path.name, SYNSET, DESCRIPTION}
        others = place.unread(names, read, "not the model's file", _QUESTIONS)
        notes = (*map(base.printable, told), *others)
        return base.Look((), notes, signature=_signature(found))


def _notes(found: ModelFiles) -> list[str]:
    """What is to be known of a file that may be served."""
    notes = [f"runs as code{base.MUST_ALLOW}"]
    if found.header.module is not None:
        notes.append(f"is a pickled {found.header.module}, whose class the image must have")
    if found.header.inputs is None:
        notes.append(
            "does not say what it takes: that is tried with zeros at the load; where that fails, "
            f"or is wrong, {DESCRIPTION} says it: {_SHAPE}"
        )
    return notes


def _signature(found: ModelFiles) -> base.Signature:
    header = found.header
    inputs = tuple(Input(one.name, one.shape, one.dtype) for one in header.inputs or ())
    return base.Signature(header.version, header.kind, inputs=inputs)


FRAMEWORK = PyTorch()
