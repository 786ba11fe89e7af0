"""The questions with known answers of models whose folders config.yaml names."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmectl.base.errors import MmectlError
from mmectl.frameworks.expected import Question, compare, read
from mmectl.web.values import Commands, Data

_VERSION = re.compile(r"_v\d+$")


def known(commands: Commands, name: str) -> Mapping[str, Question]:
    """By the name of the file to ask about; none where the folder is not here or is not right."""
    folder = _folder(commands("config", "show")["models"]["value"], name)
    if folder is None:
        return {}
    try:
        return {str(one.file.relative_to(folder)): one for one in read(folder, inside=True)}
    except MmectlError:  # `mmectl models check` tells what is wrong with it
        return {}


def _folder(models: Sequence[Data], name: str) -> Path | None:
    plain = name.removesuffix(".tar.gz")
    folders = {one["name"]: one["path"] for one in models if one.get("path")}
    found = folders.get(plain) or folders.get(_VERSION.sub("", plain))
    return Path(found) if found else None


def judged(question: Question, answer: Data) -> str | None:
    """What is wrong with what `mmectl invoke` printed; None where it is the known answer."""
    coded = answer.get("body_base64")
    body = base64.b64decode(coded) if coded else str(answer["body"]).encode()
    return compare(question, body)
