"""Fixes three defects of Multi Model Server 1.1.11, whose development has ended.

SageMaker unloads other models after a LOAD that ended in 507, and simply tries again. The
server, though, keeps the name. The thread that hears 507 from its worker unregisters the model,
and to end the worker it interrupts a thread: itself. Waiting for the worker's process then ends
at once, which ``ModelManager.unregisterModel`` takes for a failure (the process was killed all
the same), so it puts the model back: listed, 409 at the next LOAD, 503 when invoked. And after
any failure it answers first and unregisters then, so that a quick next LOAD meets 409 as well.

Its thread that waits for a launcher forgets which thread it was only if it never had a
connection to close, which it never has. So a launcher that leaves (socket_keeper.py) leaves a note
with its model, by which the unload of that model interrupts whatever the thread does by then:
another model's start, which then takes a minute to fail, or another model's worker, which dies.

So nothing is put back, the answer comes last, and the note is torn up first. All are a few
instructions of the classes as they are installed; the changed classes go before the jar on the
class path (overlay.py), and the package itself stays as it is. Each change is of the same length
and adds no branch, hence nothing else in the class (jumps, stack maps) has to change.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

_PACKAGE = "com/amazonaws/ml/mms/"
# class -> pattern, replacement, how often it stands there
CHANGES = {
    # In unregisterModel: models.put(name, model), its result dropped. The arguments are dropped
    # instead (pop2, nop, nop). Only there is the model in that variable.
    _PACKAGE + "wlm/ModelManager.class": (
        rb"(\x2a\xb4..\x2b\x2c)\xb6..(\x57)",
        b"\\1\x58\x00\x00\\2",
        1,
    ),
    # In the lambda of updateModelWorkers: sendError(...); if (onError != null)
    # onError.apply(null). The call goes first, without the question: only a PUT, which
    # SageMaker never sends, has no onError, and that failure is answered with 500 then.
    _PACKAGE + "http/ManagementRequestHandler.class": (
        rb"(\x2c\x19\x04\xbb..\x59\x12.\xb7..\xb8..)\x2d\xc6\x00\x0b(\x2d\x01\xb9..\x02\x00\x57)",
        b"\\2\x00\x00\x00\x00\\1",
        1,
    ),
    # In the finally block of run, which the compiler repeats: backendChannel.disconnect();
    # currentThread.set(null). The other way round, as the first fails without a channel.
    _PACKAGE + "wlm/WorkerThread.class": (
        rb"(\x2a\xb4..\xb9..\x01\x00\x57)(\x2a\xb4..\x01\xb6..)",
        b"\\2\\1",
        6,
    ),
}


def patched(name: str, code: bytes) -> bytes:
    """Change a class of CHANGES. Raises ValueError where it is not the one that is meant."""
    pattern, replacement, times = CHANGES[name]
    changed, count = re.subn(pattern, replacement, code, flags=re.DOTALL)
    if count != times:
        raise ValueError(name)
    return changed


def changed(jar: Path) -> dict[str, bytes]:
    """The changed classes of the server in the jar, by name; none if it is another server."""
    try:
        with zipfile.ZipFile(jar) as archive:
            return {name: patched(name, archive.read(name)) for name in CHANGES}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return {}
