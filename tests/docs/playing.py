"""Playing a page: run its commands, compare, and write what they print now."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import shell
import torch_index
from pages import BadPage, Step, needs, rewritten, steps
from shell import ROOT
from varying import agree, plain


@dataclass(frozen=True)
class Played:
    """What came of a page: its steps with what each printed."""

    path: Path
    text: str
    printed: Mapping[Step, str]

    @property
    def stale(self) -> dict[Step, str]:
        """The steps that print something else than the page shows, with what they print."""
        return {
            step: printed
            for step, printed in self.printed.items()
            if (step.shown and not agree(step.output, printed)) or (not step.shown and printed)
        }

    def renewed(self) -> str:
        """The page with what was printed, where it shows something else."""
        return rewritten(self.text, {step: out for step, out in self.stale.items() if step.shown})

    def report(self) -> str:
        """What differs, step by step; empty where nothing does."""
        return "\n".join(self._difference(*item) for item in self.stale.items())

    def _difference(self, step: Step, printed: str) -> str:
        shown = plain(step.output).splitlines()
        lines = difflib.unified_diff(
            shown, plain(printed).splitlines(), "shown", "printed", lineterm=""
        )
        return "\n".join([f"{self.path}:{step.line}: $ {step.command}", *lines, ""])


def play(pages: Iterable[Path]) -> list[Played]:
    """Run all that the pages of a session type, in a new empty folder.

    Raises torch_index.Unavailable where a page needs PyTorch and there is none to be had.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in pages}
    needed = set[str]().union(*map(needs, texts.values()))
    with _had(needed) as variables, shell.opened(variables) as running:
        return [
            Played(path, text, {step: running.run(step.command) for step in steps(text)})
            for path, text in texts.items()
        ]


@contextlib.contextmanager
def _had(needed: set[str]) -> Iterator[dict[str, str]]:
    """The variables that lead commands to what pages need."""
    if unknown := needed - {"torch"}:
        raise BadPage(f"nobody knows what it needs: {', '.join(unknown)}")
    if not needed:
        yield {}
        return
    with torch_index.index(ROOT / ".mmectl" / "wheels") as address:
        yield {"MMECTL_IMAGE_INDEX": address}
