"""A model made into ONNX by the user's own Python, where the model's framework is.

The script that does it gets one JSON document on stdin, {"model", "kind", "class", "inputs":
[{"name", "shape", "dtype"}], "given", "tolerance", "folder", "subject"}, writes model.onnx, a
question and expected.json into "folder", and answers one on stdout: {"inputs", "outputs",
"difference", "compared", "torch", "asked"}, or {"error", "hint"}.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmectl.base.errors import ArtifactError
from mmectl.frameworks import look
from mmectl.frameworks.base import Conversion
from mmectl.frameworks.values import ANY, Input

SECONDS = 1800.0
TOLERANCE = 1e-4
MODEL = "model.onnx"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is converted, as people call it, and how the two are compared.

    `network` is FILE.py:NAME or MODULE:NAME of what makes the network for weights alone. `given` is
    a file of inputs. Numbers may differ by `tolerance` of the largest number of an output.
    """

    subject: str
    conversion: Conversion
    target: Path
    python: str
    inputs: tuple[Input, ...] = ()
    network: str | None = None
    given: Path | None = None
    tolerance: float = TOLERANCE


@dataclass(frozen=True, slots=True)
class Converted:
    """What was made; `difference` is the largest one, as a share of an output's largest number."""

    folder: Path
    inputs: tuple[Mapping[str, Any], ...]
    outputs: tuple[str, ...]
    difference: float
    compared: int
    version: str
    asked: str


def interpreter(wanted: str | None, environ: Mapping[str, str]) -> str:
    """The Python that has the framework: the one named, else that of the current environment."""
    if wanted:
        found = shutil.which(wanted)
        if found is None:
            raise ArtifactError(
                f"{wanted} is no program", hint="--python /path/to/python", code="no_python"
            )
        return found
    active = environ.get("VIRTUAL_ENV") or environ.get("CONDA_PREFIX")
    own = Path(active, "bin", "python") if active else None
    return str(own) if own and own.exists() else sys.executable


def shape_of(text: str) -> Input:
    """An input as it is typed: ``x=N,3,224,224``, with ``:int64`` behind it for its type.

    Raises ValueError.
    """
    name, equals, rest = text.partition("=")
    sizes, _, dtype = rest.partition(":")
    parts = [part.strip() for part in sizes.split(",")]
    if not equals or not all(part.isalnum() for part in parts):
        raise ValueError(f"{text!r} is no NAME=SIZE,SIZE,... such as x=N,3,224,224")
    shape = tuple(int(part) if part.isdecimal() else ANY for part in parts)
    if 0 in shape:
        raise ValueError(f"{text!r} has an axis of no numbers")
    return Input(name, shape, dtype or "float32")


def convert(wanted: Wanted) -> Converted:
    """Convert and compare; the target appears only where the answers are the same.

    Raises ArtifactError (code ``not_converted``).
    """
    target = wanted.target
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ArtifactError(f"{target} is there already", hint="--to another folder", code="exists")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as name:
        folder = Path(name, "model")
        folder.mkdir(mode=0o755)
        answer = _asked(wanted, folder)
        if "error" in answer:
            raise _refusal(wanted, answer["error"], answer.get("hint"))
        found = look.look(folder, framework=None)
        if found.problems:
            raise _refusal(wanted, "; ".join(map(str, found.problems)), None)
        if target.exists():
            target.rmdir()
        folder.rename(target)
    return Converted(
        target,
        tuple(answer["inputs"]),
        tuple(answer["outputs"]),
        float(answer["difference"]),
        int(answer["compared"]),
        str(answer["torch"]),
        str(answer["asked"]),
    )


def _refusal(wanted: Wanted, text: str, hint: str | None) -> ArtifactError:
    return ArtifactError(
        f"{wanted.subject} is not converted: {text}", hint=hint or None, code="not_converted"
    )


def _asked(wanted: Wanted, folder: Path) -> dict[str, Any]:
    """What the script says; its own end counts as a refusal."""
    command = [wanted.python, str(wanted.conversion.worker)]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(_job(wanted, folder)),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=SECONDS,
            env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"},
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it was not done after {SECONDS:.0f} s"}
    except OSError as error:
        return {"error": f"{wanted.python} does not run: {error.strerror}", "hint": "--python PATH"}
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        answer: dict[str, Any] = json.loads(lines[-1])
        return answer
    last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
    return {"error": (last or [f"{wanted.python} ended with code {done.returncode}"])[0][:400]}


def _job(wanted: Wanted, folder: Path) -> dict[str, Any]:
    inputs: Sequence[Input] = wanted.inputs or wanted.conversion.inputs
    return {
        "model": str(wanted.conversion.model.absolute()),
        "kind": wanted.conversion.kind,
        "class": wanted.network,
        "inputs": [
            {"name": one.name, "shape": list(one.shape), "dtype": one.dtype} for one in inputs
        ],
        "given": str(wanted.given.absolute()) if wanted.given else None,
        "tolerance": wanted.tolerance,
        "folder": str(folder),
        "subject": wanted.subject,
    }
