"""Checks a model before deployment: layout, shapes, a forward pass, known answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.errors import ArtifactError
from mmectl.frameworks import expected, look
from mmectl.frameworks.answers import Ask, Passed
from mmectl.frameworks.base import BAD, Signature
from mmectl.frameworks.detect import Rest
from mmectl.frameworks.expected import Question
from mmectl.frameworks.folders import inside

Forward = Callable[[Path, Sequence[Ask]], Passed]
KindOf = Callable[[bytes, str], str]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: problems, one a line; `seconds` of load and forward pass where it ran.

    `hint` says what to do where the model could not be had at all; `notes` keep nothing from being
    served.
    """

    subject: str
    problems: tuple[str, ...]
    seconds: float | None = None
    answers: int = 0
    hint: str | None = None
    notes: tuple[str, ...] = ()
    framework: str = ""
    signature: Signature | None = None
    code: str = ""
    """The kind of the problems (base/codes.py), where all are of one."""


def check(
    subject: str,
    folder: Path,
    *,
    allow_code: bool = False,
    framework: str | None = None,
    rest: Rest = Rest.NONE,
    tarball: str | None = None,
    forward: Forward | None = None,
    kind_of: KindOf = lambda _body, _name: "application/octet-stream",
) -> Checked:
    """Check a model's folder, and let it answer where `forward` is given.

    `tarball`: the name of the one that it was unpacked from, as it is; then messages name its
    members, and the files of its expected.json must lie in it. What cannot be loaded is not tried
    again by a forward pass. `framework`: its name, where the files do not tell; `rest` as in
    `detect.of`.
    """
    if tarball is None:
        found = look.look(folder, allow_code=allow_code, framework=framework, rest=rest)
        top = folder
    else:
        found = look.look_at_tarball(
            folder, tarball, allow_code=allow_code, framework=framework, rest=rest
        )
        top = inside(folder)
    looked = Checked(
        subject, (), notes=found.notes, framework=found.framework, signature=found.signature
    )
    problems = [str(problem) for problem in found.problems]
    name = tarball or str(folder)
    questions: tuple[Question, ...] = ()
    try:
        questions = expected.read(top, inside=tarball is not None)
    except ArtifactError as error:
        member = f"{tarball}: {top.relative_to(folder) / expected.FILE}"
        said = error.message
        problems.append(said.replace(str(top / expected.FILE), member, 1) if tarball else said)
    if problems or forward is None:
        alike = len(problems) == len(found.problems)
        code = look.code_of(found.problems) if alike else BAD
        return dataclasses.replace(looked, problems=tuple(problems), code=code if problems else "")
    asks = [Ask(q.file, kind_of(q.file.read_bytes(), q.file.name)) for q in questions]
    passed = forward(folder, asks)
    if passed.error:
        wrong = f"{name}: does not serve: {passed.error}"
        return dataclasses.replace(looked, problems=(wrong,))
    different = [
        text
        for question, reply in zip(questions, passed.replies, strict=True)
        if (text := _wrong(question, reply.status, reply.body))
    ]
    problems += [f"{name}: {text}" for text in different]
    return dataclasses.replace(
        looked,
        problems=tuple(problems),
        seconds=passed.seconds,
        answers=len(questions) - len(different),
    )


def _wrong(question: Question, status: int, body: bytes) -> str | None:
    if status != 200:
        text = body.decode("utf-8", "replace")[:200]
        return f"{question.file.name}: is answered with {status}: {text}"
    return expected.compare(question, body)
