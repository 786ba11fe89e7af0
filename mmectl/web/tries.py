"""The page Try: one or two models are asked, and what they answer is put side by side."""

from __future__ import annotations

import base64
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmectl.base.errors import MmectlError, UsageError
from mmectl.frameworks.expected import TOLERANCE, Question
from mmectl.web import differences
from mmectl.web.questions import judged, known
from mmectl.web.threads import in_thread
from mmectl.web.values import Commands, Context, Data, Query

Form = Mapping[str, Any]
PICTURES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
}


def try_it(_: Commands, query: Query) -> Context:
    """The form that asks a model."""
    return {"name": query.get("name", ""), "tolerance": TOLERANCE}


async def tried(commands: Commands, form: Form) -> Context:
    """Ask with a file, a text, or a question whose answer is known."""
    names = [str(form[key]).strip() for key in ("name", "other") if form.get(key)]
    tolerance = _tolerance(str(form.get("tolerance") or TOLERANCE))
    question = await in_thread(asked, commands, form)
    body, name, told = await in_thread(body_of, form, question)
    if not names or not body:
        raise UsageError(
            "name a model, and drop a file or write a request", code="missing_argument"
        )
    kind = str(form.get("content_type") or "").strip()
    options = ("--content-type", kind) if kind else ()
    # removed also where nobody waits for the answers any more
    with tempfile.TemporaryDirectory(prefix="mmectl-console-") as folder:
        path = Path(folder, name)
        await in_thread(path.write_bytes, body)
        answers = [await in_thread(_answer, commands, one, options, path) for one in names]
    rows = [
        {
            "name": model,
            "answer": answer,
            "error": error,
            "parts": None,
            "wrong": judged(question, answer) if question and answer else None,
            "command": commands.line("invoke", *options, "--target-model", model, "--", told),
        }
        for model, (answer, error) in zip(names, answers, strict=True)
    ]
    compared = await in_thread(_compared, rows, tolerance)
    return {"rows": rows, "question": question, "tolerance": tolerance, **compared}


def asked(commands: Commands, form: Form) -> Question | None:
    """The question of the form, if there is one. Raises UsageError where the model has no such."""
    chosen = form.get("question")
    if not chosen:
        return None
    found = known(commands, str(form.get("name") or "")).get(str(chosen))
    if found is None:
        raise UsageError(
            f"{chosen}: is no question of this model's expected.json", code="bad_value"
        )
    return found


def picture(commands: Commands, query: Query) -> tuple[bytes, str]:
    """The picture of a question with its media type. Raises UsageError where it is none."""
    question = asked(commands, query)
    kind = PICTURES.get(question.file.suffix.lower()) if question else None
    if question is None or kind is None:
        raise UsageError("this question is no picture", code="bad_value")
    return question.file.read_bytes(), kind


def body_of(form: Form, question: Question | None) -> tuple[bytes, str, str]:
    """What is to be sent, a name for it whose ending may tell the media type, and its own name."""
    if question is not None:
        return question.file.read_bytes(), f"request{question.file.suffix}", str(question.file)
    given = form.get("file")
    filename = getattr(given, "filename", "")  # a text has none
    if given is not None and filename:
        ending = Path(filename).suffix[:10]
        ending = ending if ending[1:].isalnum() else ""
        return given.file.read(), f"request{ending}", Path(filename).name
    return str(form.get("text") or "").encode(), "request", "FILE"


def _tolerance(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < math.inf:
        raise UsageError(f"tolerance {text!r}: is no number from 0", code="bad_value")
    return found


def _answer(
    commands: Commands, name: str, options: tuple[str, ...], path: Path
) -> tuple[Data | None, MmectlError | None]:
    try:
        return commands("invoke", *options, "--target-model", name, "--", str(path)), None
    except MmectlError as error:
        return None, error


def _compared(rows: list[Context], tolerance: float) -> Context:
    """How two answers differ: `compared` where they are text, `equal` where one is not."""
    bodies = [row["answer"] for row in rows if row["answer"]]
    if len(bodies) != 2:
        return {"compared": None, "equal": None}
    texts = [one.get("body") for one in bodies]
    if not all(isinstance(text, str) for text in texts):
        plain = [_bytes(one) for one in bodies]
        return {"compared": None, "equal": plain[0] == plain[1]}
    found = differences.compare(str(texts[0]), str(texts[1]), tolerance)
    for row, parts in zip(rows, found.parts if found else (), strict=False):
        row["parts"] = parts
    return {"compared": found, "equal": None if found else texts[0] == texts[1]}


def _bytes(answer: Data) -> bytes:
    coded = answer.get("body_base64")
    return base64.b64decode(coded) if coded else str(answer.get("body", "")).encode()
