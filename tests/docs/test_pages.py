"""Each page with console blocks is played: its commands are run, what they print is compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import played
from playing import play

ROOT = Path(__file__).resolve().parents[2]
PAGES = {str(path.relative_to(ROOT)): path for path in played(ROOT / "docs")}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_its_commands_print(page):
    report = play(PAGES[page]).report()
    assert not report, f"{report}\nif that is right: scripts/play.py {page} --write"
