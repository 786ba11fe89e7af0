"""Every operator that the engine lists, asked of MXNet and of us, and what came of it.

The cases are in cases.txt and excused.txt, the answers are made by worker.py.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from operators import cases
from operators.cases import Case, Operator

WORKER = Path(__file__).with_name("worker.py")
TOLERANCE = 1e-6
HEAD = """# Operators

What the container does with each operator that MXNet 1.9.1 lists, asked as a network of that
operator alone: its answers are held against MXNet's own, to 1e-6, in float32 and in float64,
float16 and int32 where MXNet has an answer in them. Random numbers are compared by their means and
deviations. Written by `python scripts/operators.py` from `tests/platform/operators/`; a test keeps
it true. Operators that only training's way back has are left out.

"""


class Outcome(NamedTuple):
    """What both sides had to say to a case: None, or why that is not right."""

    case: Case
    refused: bool
    wrong: str | None


def run(
    python: str, container: Path, environment: Mapping[str, str], folder: Path
) -> list[Outcome]:
    """Ask everything of both, with files in `folder`."""
    ask = Asking(python, container, environment, folder)
    whole = list(cases.cases(ask.operators(), cases.table(), cases.excuses()))
    (folder / "cases.json").write_text(json.dumps(whole))
    for side in ("mxnet", "ours"):
        ask.worker(side, str(folder))
    return [outcome(case, folder / str(number)) for number, case in enumerate(whole)]


class Asking(NamedTuple):
    """The serving environment, as its worker takes it."""

    python: str
    container: Path
    environment: Mapping[str, str]
    folder: Path

    def worker(self, *arguments: str) -> str:
        """Run worker.py; what it printed."""
        path = os.pathsep.join([str(self.container), str(WORKER.parent)])
        own = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MXNET_SUBGRAPH_BACKEND": "NONE"}
        own["MXNET_ENGINE_TYPE"] = "NaiveEngine"
        done = subprocess.run(
            [self.python, str(WORKER), *arguments],
            env={**os.environ, **self.environment, **own},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(done.stderr[-2000:])
        return done.stdout

    def operators(self) -> list[Operator]:
        """Those of the engine that have a way forward."""
        found = [Operator(**row) for row in json.loads(self.worker("list"))]
        return [one for one in found if not all("backward" in name for name in one.names)]


def outcome(case: Case, folder: Path) -> Outcome:
    """Compare both answers to a case."""
    theirs, ours = answer(folder / "mxnet.npz"), answer(folder / "ours.npz")
    if isinstance(theirs, str):
        wrong = None if isinstance(ours, str) else "answered what MXNet refuses"
        return Outcome(case, True, wrong)
    if isinstance(ours, str):
        return Outcome(case, False, ours)
    pairs = zip(theirs, ours, strict=False)
    wrong = next((why for pair in pairs if (why := differ(case.how, *pair))), None)
    if len(theirs) != len(ours):
        wrong = f"{len(ours)} outputs, MXNet has {len(theirs)}"
    return Outcome(case, False, wrong)


def answer(path: Path) -> str | list[np.ndarray]:
    """The outputs, or why there are none."""
    if not path.exists():
        return "no answer"
    with np.load(path) as file:
        if "error" in file:
            return str(file["error"])
        return [file[str(number)] for number in range(len(file.files))]


def differ(how: str, theirs: np.ndarray, ours: np.ndarray) -> str | None:
    """Why two outputs are not the same; None where they are."""
    if (theirs.shape, theirs.dtype) != (ours.shape, ours.dtype):
        return f"{ours.shape} of {ours.dtype}, MXNet has {theirs.shape} of {theirs.dtype}"
    if how == "shape":
        return None
    a, b = theirs.astype(np.float64), ours.astype(np.float64)
    if how == "random":
        spread = max(float(a.std()), 0.05)
        close = abs(a.mean() - b.mean()) < 0.3 * spread and abs(a.std() - b.std()) < 0.3 * spread
        return None if close else f"mean and deviation {b.mean()}, {b.std()}: {a.mean()}, {a.std()}"
    if np.allclose(b, a, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
        return None
    return f"{b.ravel()[:4]}, MXNet has {a.ravel()[:4]}"


def unasked(outcomes: Sequence[Outcome]) -> list[str]:
    """Operators that MXNet refused in every case, though the table says nothing of it."""
    answered = {one.case.op for one in outcomes if not one.refused or one.case.how}
    return sorted({one.case.op for one in outcomes} - answered)


def page(operators: Sequence[Operator]) -> str:
    """docs/operators.md: a row for each operator, with what the tests hold true."""
    whole = cases.cases(operators, cases.table(), cases.excuses())
    said = [case for case in whole if case.how.startswith("refused")]
    refused = {case.op: case.how.partition(": ")[2] for case in said}
    rows = "".join(f"| {names} | {what} |\n" for names, what in _rows(operators, refused))
    return HEAD + "| operator | |\n|---|---|\n" + rows


def _rows(operators: Sequence[Operator], refused: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    excused = cases.excuses()
    for one in sorted(operators, key=lambda o: o.names[0].lower().lstrip("_")):
        whats: dict[str, list[str]] = {}
        for name in one.names:
            why = cases.excuse(name, excused)
            what = f"not asked: {why}" if why else "as MXNet"
            if name in refused:
                what = f"no answer, nor from MXNet: {refused[name]}"
            whats.setdefault(what, []).append(f"`{name}`")
        yield from ((", ".join(names), what) for what, names in whats.items())
