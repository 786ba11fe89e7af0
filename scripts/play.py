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

from playing import play  # noqa: E402


def main() -> int:
    """Play each page; 1 where one shows something else than its commands print."""
    write = "--write" in sys.argv
    names = [name for name in sys.argv[1:] if name != "--write"]
    if not names:
        print(__doc__, file=sys.stderr)
        return 2
    return max(_played(Path(name), write) for name in names)


def _played(path: Path, write: bool) -> int:
    began = time.monotonic()
    done = play(path)
    print(f"{path}: {len(done.printed)} steps in {time.monotonic() - began:.1f} s", file=sys.stderr)
    if not done.stale:
        return 0
    print(done.report())
    if not write:
        return 1
    path.write_text(done.renewed(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
