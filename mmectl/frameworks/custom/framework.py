"""Models that bring their own handler, as the commands see them before any upload."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from pathlib import Path

from mmectl.frameworks import base
from mmectl.frameworks.custom import model_files

_ALLOW = f"endpoint.environment: {{{model_files.ALLOW_CODE}: 'true'}}"


class Custom(base.Framework):
    """A script, and whatever files it reads."""

    name = "custom"
    files = ("inference.py", "code/inference.py")
    holds = "a model folder holds inference.py, with model_fn or handle(data, context)"
    code = True
    claims = True

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
        del names
        path = model_files.own(place.folder)
        if path is None:
            what = "holds no inference.py"
            return base.Look((base.Problem(place.whole(), what, "add the handler's script"),))
        if path.name in bad:
            return base.Look()
        name = str(path.relative_to(place.folder))
        if not allow_code:
            what = "is code, which the endpoint would run"
            fix = f"where you trust whoever wrote it: --allow-code, and {_ALLOW}"
            return base.Look((base.Problem(place.file(name), what, fix),))
        problems = _problems(place.file(name), path)
        note = f"{place.file(name)}: runs as code: the endpoint must allow it ({_ALLOW})"
        return base.Look(problems, (base.printable(note),))


def _problems(name: str, path: Path) -> tuple[base.Problem, ...]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError) as error:
        return (base.Problem(name, f"is no script of Python's ({error})", "mend it"),)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    if not any(isinstance(one, (*kinds, ast.Assign)) for one in tree.body):
        return (base.Problem(name, "defines nothing", "write model_fn or handle(data, context)"),)
    return ()


FRAMEWORK = Custom()
