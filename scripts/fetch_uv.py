"""Put uv's program into a folder, from the package index, where there is no pip.

Usage: python scripts/fetch_uv.py FOLDER
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import sys
import urllib.request
import zipfile
from pathlib import Path

INDEX = os.environ.get("UV_DEFAULT_INDEX", "https://pypi.org/simple").rstrip("/")
JSON = "application/vnd.pypi.simple.v1+json"


def _version(filename: str) -> tuple[int, ...]:
    """``uv-0.9.10-py3-...`` as (0, 9, 10); a pre-release counts as the oldest."""
    parts = filename.split("-")[1].split(".")
    return tuple(map(int, parts)) if all(part.isdigit() for part in parts) else ()


def main() -> int:
    """Fetch, verify, unpack the one program."""
    kind = f"manylinux_2_17_{platform.machine()}"
    request = urllib.request.Request(f"{INDEX}/uv/", headers={"Accept": JSON})
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    wheels = [item for item in files if kind in item["filename"] and not item.get("yanked")]
    if not wheels:
        print(f"no uv for {kind} on {INDEX}; install pip instead", file=sys.stderr)
        return 1
    wheel = max(wheels, key=lambda item: _version(item["filename"]))
    with urllib.request.urlopen(wheel["url"], timeout=300) as answer:
        data = answer.read()
    if hashlib.sha256(data).hexdigest() != wheel["hashes"]["sha256"]:
        print(f"{wheel['filename']}: wrong checksum", file=sys.stderr)
        return 1
    target = Path(sys.argv[1]) / "uv"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        target.write_bytes(archive.read(name))
    target.chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(main())
