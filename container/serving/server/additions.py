"""What is added to Multi Model Server 1.1.11: ``GET /metrics``, and the counting of what it serves.

Classes of ours in `JAR`, compiled from `java/` by scripts/metrics_jar.py, come before the server's
own on the class path. The server asks every endpoint that it finds there (its plugin interface);
its class of a request, `Session`, is replaced by one that counts (docs/decisions/0027).
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
JAR = HERE / "metrics.jar"
SERVICE = "META-INF/services/software.amazon.ai.mms.servingsdk.ModelServerEndpoint"
ENDPOINT = "mmectl.metrics.Metrics"
DIGEST = "META-INF/mmectl-sources.sha256"
# The class that is replaced, as 1.1.11 has it
SESSION = "com/amazonaws/ml/mms/http/Session.class"
_SESSION_SHA256 = "3afb3550074db8d973665310165df2c015a26d6584d049a4430951fd47fcab67"
# Models with figures of their own in the metrics
MODELS, MOST_MODELS = 100, 1000


def fits(server: Path) -> bool:
    """Whether the server's jar is the one that the added classes were written for."""
    try:
        with zipfile.ZipFile(server) as archive:
            return hashlib.sha256(archive.read(SESSION)).hexdigest() == _SESSION_SHA256
    except (OSError, KeyError, zipfile.BadZipFile):
        return False


def classes(server: Path) -> dict[str, bytes]:
    """What `JAR` holds, by names; nothing where it does not fit the server's jar."""
    if not fits(server):
        return {}
    with zipfile.ZipFile(JAR) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sources() -> list[Path]:
    """The sources, in order of their paths."""
    return sorted((HERE / "java").rglob("*.java"))


def digest() -> str:
    """Say what the sources are, by names and content."""
    whole = hashlib.sha256()
    for path in sources():
        body = path.read_bytes()
        whole.update(f"{path.relative_to(HERE)} {len(body)}\n".encode() + body)
    return whole.hexdigest()
