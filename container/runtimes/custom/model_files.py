"""Where a user's own handler lies; nothing of it is run here.

In the model's folder: `code/inference.py`, as PyTorch's and Hugging Face's containers have it, or
`inference.py`. Or for all models: the folder that was built into the image (image.handler), or the
file SAGEMAKER_PROGRAM (inference.py) of the local folder SAGEMAKER_SUBMIT_DIRECTORY, as AWS's
script mode has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# relative: mmectl/frameworks/custom links here, and beside it to these
from ..folders import describe, inside  # noqa: TID252
from ..values import ModelError  # noqa: TID252

ALLOW_CODE = "MMECTL_ALLOW_MODEL_CODE"
PROGRAM, FOLDER = "SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY"
SCRIPT = "inference.py"
IN_MODEL = (f"code/{SCRIPT}", SCRIPT)
REQUIREMENTS = "requirements.txt"
HANDLER = "handler"  # beside this file, in an image that was built with one
TAKEN = frozenset({"serving", "runtimes", "mms", "model_handler", "entrypoint"})
"""Modules of the server's own process, which a script cannot have of its own."""
_ALLOWED = ("true", "1")
SAMPLE = b"""# What a new image is tried with: these very bytes are no stranger's code.
def model_fn(model_dir):
    return 0.25


def predict_fn(data, model):
    return data * model
"""


class Script(NamedTuple):
    """A script, and the folder of the model that it serves."""

    path: Path
    top: Path


def own(folder: Path) -> Script | None:
    """The script in a model's folder, or in the only one in that; None where it has none."""
    tops = dict.fromkeys([folder, inside(folder)]) if folder.is_dir() else {}
    scripts = (Script(top / name, top) for top in tops for name in IN_MODEL)
    return next((one for one in scripts if one.path.is_file()), None)


def common(environ: Mapping[str, str], built: Path | None = None) -> Path | None:
    """The script for all models; None where there is none. Raises ModelError.

    `built` is where that of image.handler lies; the environment goes before it.
    """
    place = environ.get(FOLDER)
    if not place and (built is None or not built.is_dir()):
        return None
    path = Path(place or str(built), environ.get(PROGRAM) or SCRIPT)
    if not path.is_file():
        told = (
            f"{FOLDER}={place} is not a folder of this image with"
            if place
            else "image.handler has no"
        )
        raise ModelError(
            f"{told} {path.name}", "", "put the script into the image: nothing is downloaded"
        )
    return path


def taken(folder: Path) -> str | None:
    """A module beside a script that has the name of one of the server's; None: none has."""
    names = sorted(path.name for path in folder.iterdir())
    return next((name for name in names if Path(name).stem in TAKEN), None)


def allowed(environ: Mapping[str, str]) -> bool:
    """Whether models may bring code."""
    return environ.get(ALLOW_CODE, "").lower() in _ALLOWED


def find(folder: Path, environ: Mapping[str, str], built: Path | None = None) -> Script:
    """The script that serves a model. Raises ModelError where it may not, or there is none."""
    describe(folder).only(())
    if (script := own(folder)) is not None:
        name = str(script.path.relative_to(script.top))
        if not allowed(environ) and script.path.read_bytes() != SAMPLE:
            raise ModelError(
                "is code, which this endpoint does not run",
                name,
                f"where you trust whoever wrote it, endpoint.environment: {{{ALLOW_CODE}: 'true'}}",
            )
        if (other := taken(script.path.parent)) is not None:
            what = "has the name of a module of the server's, which would be imported instead"
            raise ModelError(what, other, "give it another name")
        return script
    if (path := common(environ, built)) is not None:
        return Script(path, folder)
    raise ModelError(f"holds no {' and no '.join(IN_MODEL)}", "", "add the script of the handler")
