"""A forward pass of a model in the serving environment, in a process of its own.

It is the handler itself that loads the model and answers, so that what passes here is served;
a network that crashes or never ends costs that process alone.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.errors import BuildError
from mmectl.base.server_environment import server_environment
from mmectl.frameworks.answers import Ask, Passed, Reply

SECONDS = 300.0
# the container runs code of models where its owner said so, as with --allow-code at the upload
ALLOWED = {"MMECTL_ALLOW_MODEL_CODE": "true"}
# as the image's model handler words it
_LAST_WORDS = re.compile(r"^cannot load .+?: (\S+ ended the process .+)$", re.MULTILINE)
_WORKER = Path(__file__).with_name("forward_worker.py")


@dataclass(frozen=True, slots=True)
class Serving:
    """The built serving environment: its Python, the container's files, its variables."""

    python: str
    context: Path
    variables: Mapping[str, str]


def forward(
    serving: Serving,
    folder: Path,
    asks: Sequence[Ask],
    seconds: float = SECONDS,
    more: Mapping[str, str] = {},
) -> Passed:
    """Load the model in `folder`, run it once on zeros, and answer `asks`.

    `more` are further variables.
    """
    job = {
        "context": str(serving.context),
        "model": str(folder.absolute()),
        "requests": [{"file": str(ask.file.absolute()), "type": ask.kind} for ask in asks],
    }
    try:
        done = subprocess.run(
            [serving.python, str(_WORKER)],
            input=json.dumps(job).encode(),
            capture_output=True,
            check=False,
            timeout=seconds,
            cwd="/",
            env=server_environment(os.environ, {"OMP_NUM_THREADS": "1"}, serving.variables, more),
        )
    except subprocess.TimeoutExpired:
        return Passed(error=f"it was not done after {seconds:.0f} s")
    except OSError as error:
        raise BuildError(
            f"the serving environment does not run: {error.strerror}",
            hint="mmectl build",
            code="environment_broken",
        ) from error
    if done.returncode != 0:
        return Passed(error=_death(done.returncode, done.stderr))
    answer = json.loads(done.stdout)
    if not answer["loaded"]:
        return Passed(error=answer["error"])
    replies = [Reply(r["status"], base64.b64decode(r["body"])) for r in answer["answers"]]
    return Passed(answer["seconds"], replies=tuple(replies))


def _death(code: int, stderr: bytes) -> str:
    text = stderr.decode("utf-8", "replace")
    if said := _LAST_WORDS.findall(text):
        return str(said[-1])
    lines = [line for line in text.splitlines() if line.strip()]
    last = f": {lines[-1][:200]}" if lines else ""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = str(-code)
        return f"it died of {name}{last}"
    return f"it ended with code {code}{last}"
