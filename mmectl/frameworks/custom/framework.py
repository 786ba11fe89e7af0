"""Models that bring their own handler, as the commands see them before any upload."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from mmectl.frameworks import base
from mmectl.frameworks.custom import model_files, scripts


class Custom(base.Framework):
    """A script, and whatever files it reads."""

    name = "custom"
    files = ("inference.py", "code/inference.py")
    holds = "a model folder holds inference.py, with model_fn or handle(data, context)"
    code = True
    claims = True
    nested = True

    def sample(self) -> base.Sample:
        """A script that gives a quarter of each number."""
        return base.Sample(
            {model_files.SCRIPT: model_files.SAMPLE}, b"4,8", "text/csv", "[1.0, 2.0]"
        )

    def detect(self, folder: Path) -> bool:
        """Whether it has a script."""
        return model_files.own(folder) is not None

    def look(
        self, place: base.Place, names: Sequence[str], *, bad: Collection[str], allow_code: bool
    ) -> base.Look:
        """Parse the script; what the other files are is the script's business."""
        script = model_files.own(place.folder)
        if script is None:
            what = "holds no inference.py"
            return base.Look((base.Problem(place.whole(), what, "add the handler's script"),))
        name = str(script.path.relative_to(place.folder))
        if name in bad:
            return base.Look()
        if not allow_code:
            what = "is code, which the endpoint would run"
            fix = f"where you trust whoever wrote it: --allow-code, and {base.ALLOW}"
            return base.Look((base.Problem(place.file(name), what, fix, code="model_code"),))
        note = f"{place.file(name)}: runs as code{base.MUST_ALLOW}"
        notes = [base.printable(note), *_requirements(place, script, names)]
        return base.Look(tuple(_problems(place, script)), tuple(notes))


def _problems(place: base.Place, script: model_files.Script) -> Iterator[base.Problem]:
    if wrong := scripts.problem(script.path.read_bytes()):
        yield base.Problem(place.file(str(script.path.relative_to(place.folder))), *wrong)
    if other := model_files.taken(script.path.parent):
        path = (script.path.parent / other).relative_to(place.folder)
        what = "has the name of a module of the server's, which would be imported instead"
        yield base.Problem(place.file(str(path)), what, "give it another name")


def _requirements(
    place: base.Place, script: model_files.Script, names: Sequence[str]
) -> Iterator[str]:
    """A note on the packages that AWS's toolkit would install at each load."""
    path = (script.path.parent / model_files.REQUIREMENTS).relative_to(place.folder)
    if str(path) in names:
        what = "is installed by nobody: add its packages to image.requirements, and build"
        yield base.printable(f"{place.file(str(path))}: {what}")


FRAMEWORK = Custom()
