"""Compile what the container adds to Multi Model Server.

From container/serving/server/java to metrics.jar beside it. Needs a JDK of 9 to 25, and the
package multi-model-server or its jar::

    python scripts/metrics_jar.py [path/to/model-server.jar]

The archive holds the digest of its sources, by which a test notices that it is out of date. Its
bytes depend on nothing but the sources and the compiler.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SERVER = Path(__file__).resolve().parent.parent / "container" / "serving" / "server"
sys.path.insert(0, str(SERVER.parents[1]))

from serving.server import additions  # noqa: E402

RELEASE = "8"  # the oldest Java that the server runs on


def jar_of_server() -> Path:
    """The jar of the installed package; raises SystemExit."""
    spec = importlib.util.find_spec("mms")
    if spec is None or spec.origin is None:
        raise SystemExit("multi-model-server is not installed: give the path of its jar")
    return Path(spec.origin).parent / "frontend" / "model-server.jar"


def compiled(server: Path, folder: Path) -> None:
    """Compile all sources into the folder."""
    sources = [str(path) for path in additions.sources()]
    options = ["--release", RELEASE, "-g:none", "-Xlint:-options", "-cp", str(server)]
    subprocess.run(["javac", *options, "-d", str(folder), *sources], check=True)


def write(folder: Path) -> None:
    """Write the archive, always in the same order and with the same times."""
    members = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.class")
    }
    members[additions.SERVICE] = f"{additions.ENDPOINT}\n".encode()
    members[additions.DIGEST] = additions.digest().encode()
    with zipfile.ZipFile(additions.JAR, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in sorted(members.items()):
            archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
    print(f"{additions.JAR}: {additions.JAR.stat().st_size} bytes")


if __name__ == "__main__":
    given = Path(sys.argv[1]) if sys.argv[1:] else jar_of_server()
    with tempfile.TemporaryDirectory() as made:
        compiled(given, Path(made))
        write(Path(made))
