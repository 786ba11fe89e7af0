"""Commands called within a Python program: the data of their results, errors as exceptions."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

from mmectl.base.errors import Interrupted, MmectlError


def data_of(arguments: Sequence[str]) -> Any:
    """Run one command as the command line does; the `data` of its envelope.

    Raises MmectlError with the command's own text, hint and code; KeyboardInterrupt where it was
    interrupted. Nothing is printed but warnings.
    """
    from mmectl.cli import run

    printed = io.StringIO()
    with redirect_stdout(printed):
        code = run([*arguments, "--json", "--quiet"])
    if code == Interrupted.exit_code:
        raise KeyboardInterrupt
    envelope = json.loads(printed.getvalue())
    if envelope["status"] != "ok":
        raise _failure(envelope["errors"], code)
    return envelope["data"]


def _failure(errors: Sequence[dict[str, Any]], code: int) -> MmectlError:
    first = errors[0]
    error = MmectlError(first["message"], hint=first["hint"], code=first["code"])
    error.exit_code = code
    return error
