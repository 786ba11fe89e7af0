"""Everything that would fail later, found before: layout, shapes, a forward pass, known answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmectl.errors import ArtifactError
from mmectl.model import expected, layout
from mmectl.model.expected import Question
from mmectl.serving.forward import Ask, Passed

Forward = Callable[[Path, Sequence[Ask]], Passed]
KindOf = Callable[[bytes, str], str]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: problems, one a line; `seconds` of load and forward pass where it ran.

    `hint` says what to do where the model could not be had at all.
    """

    subject: str
    problems: tuple[str, ...]
    seconds: float | None = None
    answers: int = 0
    hint: str | None = None


def check(
    subject: str,
    folder: Path,
    *,
    allow_code: bool = False,
    inside: bool = False,
    forward: Forward | None = None,
    kind_of: KindOf = lambda _body, _name: "application/octet-stream",
) -> Checked:
    """Check a model's folder, and let it answer where `forward` is given.

    `inside`: the files of its expected.json must lie in the folder. What cannot be loaded is not
    tried again by a forward pass.
    """
    problems = [str(problem) for problem in layout.check(folder, allow_code=allow_code)]
    questions: tuple[Question, ...] = ()
    try:
        questions = expected.read(folder, inside=inside)
    except ArtifactError as error:
        problems.append(error.message)
    if problems or forward is None:
        return Checked(subject, tuple(problems))
    asks = [Ask(q.file, kind_of(q.file.read_bytes(), q.file.name)) for q in questions]
    passed = forward(folder, asks)
    if passed.error:
        return Checked(subject, (f"{folder}: does not serve: {passed.error}",))
    wrong = [
        text
        for question, reply in zip(questions, passed.replies, strict=True)
        if (text := _wrong(question, reply.status, reply.body))
    ]
    problems += [f"{folder}: {text}" for text in wrong]
    return Checked(subject, tuple(problems), passed.seconds, len(questions) - len(wrong))


def _wrong(question: Question, status: int, body: bytes) -> str | None:
    if status != 200:
        text = body.decode("utf-8", "replace")[:200]
        return f"{question.file.name}: is answered with {status}: {text}"
    return expected.compare(question, body)
