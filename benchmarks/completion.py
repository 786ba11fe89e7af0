"""How long TAB takes with a warm cache, as bash, zsh and fish ask: python -m benchmarks.completion.

Wall and CPU milliseconds, the median of some calls, beside Python's own start.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmectl.completion import known

MODELS = 2_000
TIMES = 15
LINE = "mmectl invoke --target-model model-19"


def main() -> None:
    """Print one line for each shell that is there."""
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        (project / "config.yaml").write_text("endpoint: {name: demo}\n")
        os.environ["XDG_CACHE_HOME"] = str(project / "cache")
        os.chdir(project)
        models = {f"model-{number}": [1, 2] for number in range(MODELS)}
        known.remember(known.project(None, None, None), models, ["demo"])
        program = str(Path(sys.executable).with_name("mmectl"))
        words = LINE.split()[1:]
        print(f"{MODELS:,} models, median of {TIMES}      wall ms   CPU ms")
        _show("python -c pass", [sys.executable, "-c", "pass"], {})
        for shell in ("bash", "zsh", "fish"):
            asked = [LINE, "=:"] if shell == "bash" else words
            _show(f"mmectl for {shell}", [program, *asked], {"_MMECTL_COMPLETE": shell})
            _whole(shell)


def _whole(shell: str) -> None:
    """The shell's own start with it, which a person has behind them."""
    path = shutil.which(shell)
    if path is None:
        print(f"{shell} is not installed")
    elif shell == "fish":
        from mmectl.completion.shells import SCRIPTS

        script = f"{SCRIPTS['fish']}\ncomplete -C '{LINE}'"
        _show("  and fish's start", [path, "--no-config", "-c", script], {})


def _show(what: str, arguments: Sequence[str], more: Mapping[str, str]) -> None:
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, **more}
    walls, used = [], []
    for _ in range(TIMES + 1):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(arguments, env=environment, capture_output=True, check=True)
        walls.append((time.perf_counter() - began) * 1e3)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3)
    print(f"{what:30} {statistics.median(walls[1:]):8.0f} {statistics.median(used[1:]):8.0f}")


if __name__ == "__main__":
    main()
