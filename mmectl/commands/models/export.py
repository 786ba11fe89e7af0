"""`mmectl models export`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmectl.base.errors import ArtifactError, UsageError
from mmectl.base.text import counted
from mmectl.base.values import Event
from mmectl.commands.common import command
from mmectl.commands.models.group import models
from mmectl.console.output import Result
from mmectl.frameworks import conversion, detect
from mmectl.frameworks.conversion import Converted, Wanted
from mmectl.frameworks.values import ModelError

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.frameworks.base import Conversion


@command(
    parent=models,
    examples="mmectl models export model.pt --allow-code --to ./net\n"
    "mmectl models export model.pt --allow-code --to ./net --input x=N,3,224,224\n"
    "mmectl models export weights.pth --class net.py:Net --to ./net --input x=N,4\n"
    "mmectl models export m.pt2 --allow-code --to ./m --python ~/torch/bin/python",
)
@click.option(
    "--to", "target", required=True, type=click.Path(path_type=Path), help="New model folder."
)
@click.option(
    "--input",
    "shapes",
    multiple=True,
    metavar="NAME=SIZE,...",
    help="Shape of an input; N: any size; :int64 behind it: its type.",
)
@click.option(
    "--inputs",
    "given",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Compare on these: .npy, .npz, .csv or .json.",
)
@click.option("--class", "network", metavar="FILE.py:NAME", help="Makes the network of weights.")
@click.option("--python", metavar="PATH", help="Python that has PyTorch [the active environment].")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=conversion.TOLERANCE,
    help="Allowed difference, of an output's largest number [0.0001].",
)
@click.option("--allow-code", is_flag=True, help="Run what is in the file.")
@click.argument("path", metavar="FOLDER|FILE", type=click.Path(path_type=Path))
def export(
    app: App,
    path: Path,
    target: Path,
    shapes: tuple[str, ...],
    given: Path | None,
    network: str | None,
    python: str | None,
    tolerance: float,
    allow_code: bool,
) -> Result:
    """Convert a PyTorch model to ONNX, and compare the answers of both.

    ONNX is no code, loads faster and takes less memory. The conversion runs in the
    Python that has torch, onnx, onnxscript and onnxruntime. Both models answer random
    numbers of one, two and five items, or --inputs. Where they differ nothing is made.

    The new folder has model.onnx, a question, and PyTorch's answer to it in
    expected.json.
    """
    found = _conversion(path, weights=network is not None)
    if network is None and not allow_code:
        raise ArtifactError(
            f"{found.model}: is a program ({found.kind}), which PyTorch would run",
            hint="where you trust whoever wrote it: "
            f"mmectl models export {shlex.quote(str(path))} --to {shlex.quote(str(target))} "
            "--allow-code",
            code="code",
        )
    try:
        inputs = tuple(map(conversion.shape_of, shapes))
    except ValueError as error:
        raise UsageError(f"--input: {error}", code="bad_value") from None
    interpreter = conversion.interpreter(python, os.environ)
    wanted = Wanted(str(path), found, target, interpreter, inputs, network, given, tolerance)
    with app.out.progress() as report:
        report(Event("start", "export", f"{found.kind} by {interpreter}"))
        made = conversion.convert(wanted)
    return _result(made, tolerance)


def _conversion(path: Path, *, weights: bool) -> Conversion:
    """How it is converted. Raises ArtifactError."""
    if not path.exists():
        raise ArtifactError(
            f"{path}: does not exist",
            hint="name a model's folder, or its file",
            code="unreadable_file",
        )
    try:
        every = (detect.of(path),) if path.is_dir() else detect.known()
        found = (one.conversion(path, weights=weights) for one in every)
        made = next((one for one in found if one is not None), None)
    except ModelError as error:
        raise ArtifactError(
            f"{path}: {error.what}",
            hint=f"{error.fix}; or --class FILE.py:NAME, which makes its network",
            code="bad_model",
        ) from None
    if made is None:
        raise ArtifactError(
            f"{path}: is no model of PyTorch's",
            hint="mmectl models check says what it is",
            code="not_pytorch",
        )
    return made


def _result(made: Converted, tolerance: float) -> Result:
    shapes = [f"{one['name']} {_shape(one['shape'])} {one['dtype']}" for one in made.inputs]
    folder = shlex.quote(str(made.folder))
    data = {
        "folder": str(made.folder),
        "inputs": [dict(one) for one in made.inputs],
        "outputs": list(made.outputs),
        "difference": made.difference,
        "tolerance": tolerance,
        "compared": made.compared,
        "torch": made.version,
        "question": made.asked,
    }
    view = [
        f"folder   {made.folder}: model.onnx, {made.asked}, expected.json",
        f"inputs   {', '.join(shapes)}",
        f"outputs  {', '.join(made.outputs)}",
        f"answers  the same for {counted(made.compared, 'request')}: they differ by "
        f"{made.difference:.1e} at most, {tolerance:g} is allowed (PyTorch {made.version})",
        "",
        f"next     mmectl models check {folder} --forward",
        f"         mmectl upload {folder}",
    ]
    return Result(data, view)


def _shape(sizes: list[int]) -> str:
    return "(" + ", ".join("any" if size < 0 else str(size) for size in sizes) + ")"
