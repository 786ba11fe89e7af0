"""What every worker's interpreter runs first: nothing is imported from a model's folder.

Multi Model Server puts that folder on the path of its workers. A `sitecustomize.py` or `json.py`
in it would run before the server's own code, with two effects: whoever may upload a model runs
code, and a worker that ends or hangs before it has begun blocks a thread of the server for a
minute, and with it some of the answers to /ping. The handler needs no code of a model.
MMECTL_ALLOW_MODEL_CODE=true leaves the path as it is.
"""

from __future__ import annotations

import os
import sys

if os.environ.get("MMECTL_ALLOW_MODEL_CODE", "").lower() not in ("true", "1"):
    _here = os.path.realpath(os.getcwd())  # noqa: PTH109 - pathlib would be imported from there
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != _here]
