"""Do the image's pinned packages exist, for every Python that it may have? Asks the package index.

`python scripts/pins.py [FRAMEWORK ...]` resolves each file of container/requirements for each
Python and both processors, and installs nothing. What the usual index lacks is looked for on the
index that the file names. That frameworks agree on shared packages is a unit test.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mmectl.images.context import Contents, index_of
from mmectl.images.uv import find_uv, uv_environment, with_index

HERE = Path(__file__).resolve().parents[1] / "container" / "requirements"
PYTHONS = tuple(f"3.{minor}" for minor in range(8, 14))
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
# libraries that are there for amd64 alone, as docs/frameworks say
AMD64_ALONE = ("mxnet",)
# packages that are made on the machine that installs them: they have no wheels
SOURCES = ("sagemaker-inference",)


def resolve(path: Path, python: str, platform: str) -> str | None:
    """Why the packages of a file cannot be had; None where they can."""
    import os

    sources = [word for name in SOURCES for word in ("--no-binary", name)]
    done = subprocess.run(
        [
            *(find_uv(), "pip", "compile", "--quiet", "--no-deps", "--no-header"),
            *("--python-version", python, "--python-platform", platform),
            *("--only-binary", ":all:", *sources, str(path), "--output-file", os.devnull),
        ],
        env=with_index(uv_environment(os.environ), index_of([path], Contents())),
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else " ".join(done.stderr.split())


def main(names: list[str]) -> int:
    """Print what cannot be had, one line each; 1 where there is any."""
    wrong = 0
    for path in sorted(HERE.glob("*.txt")):
        if names and path.stem not in names:
            continue
        for platform in PLATFORMS[: 1 if path.stem in AMD64_ALONE else 2]:
            for python in PYTHONS:
                why = resolve(path, python, platform)
                wrong += why is not None
                if why is not None:
                    print(f"{path.stem}, Python {python}, {platform}: {why}", flush=True)
        print(f"{path.stem}: resolved", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
