"""Each page with console blocks is played: its commands are run, what they print is compared."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch_index
from pages import sessions
from playing import play

ROOT = Path(__file__).resolve().parents[2]
SESSIONS = {
    str(pages[0].relative_to(ROOT)): pages for pages in sessions(ROOT / "docs", ROOT / "README.md")
}


@pytest.mark.parametrize("first", SESSIONS)
def test_pages_show_what_their_commands_print(first):
    try:
        done = play(SESSIONS[first])
    except torch_index.Unavailable as error:
        pytest.skip(str(error))
    stale = [page for page in done if page.stale]
    names = " ".join(str(page.path.relative_to(ROOT)) for page in stale)
    report = "\n".join(page.report() for page in stale)
    assert not stale, f"{report}\nif that is right: scripts/play.py {names} --write"
