"""Commands for the console: what each says is handed in; those that were called are kept."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from mmectl.base.errors import MmectlError


class Said:
    """Answers by the longest beginning of a command line that is known."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.called: list[str] = []

    def __call__(self, *arguments: str) -> Any:
        line = shlex.join(arguments)
        self.called.append(line)
        known = [start for start in self.answers if line.startswith(start)]
        answer = self.answers[max(known, key=len)]
        if isinstance(answer, MmectlError):
            raise answer
        return answer

    def line(self, *arguments: str) -> str:
        return shlex.join(["mmectl", *arguments])

    def process(self, *arguments: str) -> list[str]:
        return ["mmectl", *arguments]
