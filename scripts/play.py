#!/usr/bin/env python3
"""Play pages of the documentation; `--write` puts what their commands print into them.

Usage: scripts/play.py PAGE... [--write]     (tests/docs/README.md has the convention)
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
if Path(sys.prefix) != PYTHON.parent.parent:
    os.execv(PYTHON, [str(PYTHON), *sys.argv])  # noqa: S606 - the project's own Python
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "docs")]

from pages import BadPage, before  # noqa: E402
from playing import play  # noqa: E402
from shell import Stuck  # noqa: E402


def main() -> int:
    """Play the pages; 1 where one shows something else than its commands print."""
    write = "--write" in sys.argv
    names = [Path(name) for name in sys.argv[1:] if name != "--write"]
    if not names:
        print(__doc__, file=sys.stderr)
        return 2
    sessions: dict[Path, list[Path]] = {}
    for path in names:
        pages = sessions.setdefault(before(path) or path, [])
        pages += [path] if before(path) else []
    return max(_played([first, *pages], write) for first, pages in sessions.items())


def _played(pages: list[Path], write: bool) -> int:
    """Play the pages of one session."""
    began = time.monotonic()
    try:
        done = play(pages)
    except (BadPage, Stuck) as error:
        print(f"{' '.join(map(str, pages))}: {error}", file=sys.stderr)
        return 1
    for page in done:
        print(page.report(), end="")
        print(f"{page.path}: {len(page.printed)} steps", file=sys.stderr)
        if write:
            page.path.write_text(page.renewed(), encoding="utf-8")
    print(f"{time.monotonic() - began:.1f} s", file=sys.stderr)
    return 0 if write else int(any(page.stale for page in done))


if __name__ == "__main__":
    sys.exit(main())
