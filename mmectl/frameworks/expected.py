"""Known answers in a model's folder: ``expected.json``, read and compared. No framework needed.

::

    {"tolerance": 0.001,
     "answers": {"cat.jpg": ["probability=0.294877, class=n02326432 hare"],
                 "zeros.json": [[0.1, 0.9]]}}

Each key is a file to ask the model about, relative to the folder. An answer is the first lines
that the handler gives, in their order, or the numbers of the output, of several outputs by name;
probabilities and numbers may differ by `tolerance` (0.001 where it is left out).
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmectl.base.errors import ArtifactError

FILE = "expected.json"
TOLERANCE = 1e-3
_LINE = re.compile(r"probability=([0-9.e+-]+), class=(.*)", re.DOTALL)
_FORM = '{"answers": {"cat.jpg": ["probability=0.294877, class=n02326432 hare"]}}'


@dataclass(frozen=True, slots=True)
class Question:
    """A file to ask about, and the answer that is known."""

    file: Path
    answer: list[Any] | dict[str, Any]
    tolerance: float


def read(folder: Path, *, inside: bool = False) -> tuple[Question, ...]:
    """The questions of a model's folder; none without an expected.json.

    `inside`: files must lie in the folder, as those of a tarball. Raises ArtifactError
    (code ``bad_expected``).
    """
    path = folder / FILE
    if not path.is_file():
        return ()
    try:
        raw = json.loads(path.read_text("utf-8-sig"))
        tolerance = float(raw.get("tolerance", TOLERANCE))
        pairs = [(str(name), answer) for name, answer in raw["answers"].items()]
    except KeyError as error:
        raise _bad(path, 'is not of the right form: it has no "answers"') from error
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _bad(path, f"is not of the right form ({error})") from error
    if not 0 <= tolerance < math.inf:
        raise _bad(path, "has an invalid tolerance")
    return tuple(_question(path, name, answer, tolerance, inside) for name, answer in pairs)


def _question(path: Path, name: str, answer: Any, tolerance: float, inside: bool) -> Question:
    file = path.parent / name
    if not isinstance(answer, (list, dict)) or not answer:
        raise _bad(path, f"has no list of lines or numbers for {name}")
    if not name.isprintable() or any(len(part.encode()) > 255 for part in name.split("/")):
        raise _bad(path, f"names {_short(name)}, which is no name of a file")
    if inside and not file.resolve().is_relative_to(path.parent.resolve()):
        raise _bad(path, f"names {name}, which is not in the model's folder")
    if not file.is_file():
        raise _bad(path, f"names {name}, which is not there")
    return Question(file, answer, tolerance)


def _bad(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{path}: {what}", hint=f"write it like {_FORM}", code="bad_expected")


def compare(question: Question, body: bytes) -> str | None:
    """What is wrong with the handler's answer; None where it is the one that is known."""
    try:
        answer = json.loads(body)
        wrong = _differs(question.answer, answer, question.tolerance)
    except ValueError:
        return f"{question.file.name}: the answer is not JSON"
    except RecursionError:
        return f"{question.file.name}: the answer is nested too deeply to be compared"
    return f"{question.file.name}: {wrong}" if wrong else None


def _differs(wanted: Any, found: Any, tolerance: float) -> str | None:
    """Why `found` is not `wanted`, the first reason."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict) or found.keys() != wanted.keys():
            return f"answers {_short(found)}, expected was {_short(wanted)}"
        named = (_differs(one, found[name], tolerance) for name, one in wanted.items())
        return next((reason for reason in named if reason), None)
    if isinstance(wanted, list):
        if not isinstance(found, list):
            return f"answers {_short(found)}, expected was {_short(wanted)}"
        lines = all(isinstance(item, str) for item in wanted)
        if len(found) < len(wanted) or (len(found) != len(wanted) and not lines):
            return f"answers {len(found)} values, expected were {len(wanted)}"
        pairs = zip(wanted, found, strict=False)
        reasons = (_differs(one, other, tolerance) for one, other in pairs)
        return next((reason for reason in reasons if reason), None)
    if _same_line(wanted, found, tolerance) or _same_number(wanted, found, tolerance):
        return None
    return f"answers {_short(found)}, expected was {_short(wanted)}"


def _same_line(wanted: Any, found: Any, tolerance: float) -> bool:
    if not isinstance(wanted, str) or not isinstance(found, str):
        return False
    one, other = _LINE.fullmatch(wanted), _LINE.fullmatch(found)
    if not one or not other:
        return wanted == found
    try:
        numbers = float(one[1]), float(other[1])
    except ValueError:
        return wanted == found
    return one[2] == other[2] and _same_number(*numbers, tolerance)


def _same_number(wanted: Any, found: Any, tolerance: float) -> bool:
    if not isinstance(wanted, (int, float)) or not isinstance(found, (int, float)):
        return False
    try:
        return abs(wanted - found) <= tolerance
    except OverflowError:  # an integer beyond any float
        return False


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
