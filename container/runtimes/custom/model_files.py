"""Where a user's own handler lies; nothing of it is run here.

In the model's folder: `code/inference.py`, as PyTorch's and Hugging Face's containers have it, or
`inference.py`. Or for all models: the file SAGEMAKER_PROGRAM (inference.py) of the local folder
SAGEMAKER_SUBMIT_DIRECTORY, as AWS's script mode has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# relative: mmectl/frameworks/custom links here, and beside it to these
from ..folders import describe, inside  # noqa: TID252
from ..values import ModelError  # noqa: TID252

ALLOW_CODE = "MMECTL_ALLOW_MODEL_CODE"
PROGRAM, FOLDER = "SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY"
SCRIPT = "inference.py"
IN_MODEL = (f"code/{SCRIPT}", SCRIPT)
_ALLOWED = ("true", "1")
SAMPLE = b"""# What a new image is tried with: these very bytes are no stranger's code.
def model_fn(model_dir):
    return 0.25


def predict_fn(data, model):
    return data * model
"""


def own(folder: Path) -> Path | None:
    """The script in a model's folder; None where it has none."""
    top = inside(folder) if folder.is_dir() else folder
    return next((top / name for name in IN_MODEL if (top / name).is_file()), None)


def common(environ: Mapping[str, str]) -> Path | None:
    """The script for all models; None where there is none. Raises ModelError."""
    place = environ.get(FOLDER)
    if not place:
        return None
    path = Path(place, environ.get(PROGRAM) or SCRIPT)
    if not path.is_file():
        what = f"{FOLDER}={place} is no folder of this image that holds {path.name}"
        raise ModelError(what, "", "put the script into the image: nothing is downloaded")
    return path


def find(folder: Path, environ: Mapping[str, str]) -> Path:
    """The script that serves a model. Raises ModelError where it may not, or there is none."""
    describe(folder).only(())
    if (path := own(folder)) is not None:
        allowed = environ.get(ALLOW_CODE, "").lower() in _ALLOWED
        if not allowed and path.read_bytes() != SAMPLE:
            raise ModelError(
                "is code, which this endpoint does not run",
                str(path.relative_to(inside(folder))),
                f"where you trust whoever wrote it, endpoint.environment: {{{ALLOW_CODE}: 'true'}}",
            )
        return path
    if (path := common(environ)) is not None:
        return path
    raise ModelError(f"holds no {' and no '.join(IN_MODEL)}", "", "add the script of the handler")
