"""Fixes defects of Multi Model Server 1.1.11, whose development has ended.

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

So nothing is put back, the answer comes last, and the note is torn up first.

Some requests are never answered. /ping counts the workers in lists that other threads change
meanwhile, and ends without a word where it notices. A worker that finds no connection fails once
more as it closes it, before it tells the load that waits. An unload ends the workers alone, and
what waited in the model's queue waits for ever; and it puts the request that is being computed
there once more, unless the worker is quicker. The list of models is an error where a model
leaves meanwhile. So those lists are copied when they change, and the rest is in a class
that is added (java/com/amazonaws/ml/mms/wlm/Mended.java).

All are a few instructions of the classes as they are installed; the changed classes go before the
jar on the class path (overlay.py), and the package itself stays as it is. Each change is of the
same length and adds no branch, hence nothing else in the class (jumps, stack maps) has to change.
"""

from __future__ import annotations

import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

from serving.server import class_file

_PACKAGE = "com/amazonaws/ml/mms/"
_MENDED = _PACKAGE + "wlm/Mended"
MANAGER = _PACKAGE + "wlm/ModelManager.class"
LOADS = _PACKAGE + "wlm/WorkLoadManager.class"
WORKER = _PACKAGE + "wlm/WorkerThread.class"
HANDLER = _PACKAGE + "http/ManagementRequestHandler.class"


@dataclass(frozen=True)
class Change:
    """What stands in a class so many times, and what is put there.

    `call` is a static method of `Mended` and its descriptor; its number stands for @@ then.
    """

    pattern: bytes
    replacement: bytes
    times: int = 1
    call: tuple[str, str] | None = None

    def made(self, name: str, code: bytes) -> bytes:
        """Raises ValueError with the class's name where it is not the one that is meant."""
        template = self.replacement
        if self.call:
            code, number = class_file.with_method(code, _MENDED, *self.call)
            template = template.replace(b"@@", _literal(struct.pack(">H", number)))
        changed, count = re.subn(self.pattern, template, code, flags=re.DOTALL)
        if count != self.times:
            raise ValueError(name)
        return changed


def _literal(code: bytes) -> bytes:
    return code.replace(b"\\", b"\\\\")


CHANGES = {
    MANAGER: (
        # In unregisterModel: models.put(name, model), its result dropped. The arguments are dropped
        # instead (pop2, nop, nop). Only there is the model in that variable.
        Change(rb"(\x2a\xb4..\x2b\x2c)\xb6..(\x57)", b"\\1\x58\x00\x00\\2"),
        # A few lines before: wlm.modelChanged(model), its result kept.
        Change(
            rb"(\x2a\xb4..\x2c)\xb6..(\x4e)",
            b"\\1\xb8@@\\2",
            call=(
                "end",
                f"(L{_PACKAGE}wlm/WorkLoadManager;L{_PACKAGE}wlm/Model;)"
                "Ljava/util/concurrent/CompletableFuture;",
            ),
        ),
    ),
    LOADS: (
        # A text in the table of constants, its length before it: the class of the lists.
        Change(
            b"\x01\x00\x13java/util/ArrayList",
            b"\x01\x00\x29java/util/concurrent/CopyOnWriteArrayList",
        ),
    ),
    HANDLER: (
        # In the lambda of updateModelWorkers: sendError(...); if (onError != null)
        # onError.apply(null). The call goes first, without the question: only a PUT, which
        # SageMaker never sends, has no onError, and that failure is answered with 500 then.
        Change(
            rb"(\x2c\x19\x04\xbb..\x59\x12.\xb7..\xb8..)\x2d\xc6\x00\x0b(\x2d\x01\xb9..\x02\x00\x57)",
            b"\\2\x00\x00\x00\x00\\1",
        ),
        # In handleListModels: modelManager.getModels(), before the list of their names is made.
        Change(
            rb"(\x19\x05)\xb6..(\x3a\x06\xbb)",
            b"\\1\xb8@@\\2",
            call=("models", f"(L{_PACKAGE}wlm/ModelManager;)Ljava/util/Map;"),
        ),
    ),
    WORKER: (
        # In the finally block of run, which the compiler repeats: backendChannel.disconnect();
        # currentThread.set(null). The other way round, as the first fails without a channel, and
        # by a method of ours, which is given the worker as well.
        Change(
            rb"(\x2a\xb4..)\xb9..\x01\x00\x57(\x2a\xb4..\x01\xb6..)",
            b"\\2\\1\x2a\xb8@@\x00\x00",
            times=6,
            call=("disconnect", f"(Lio/netty/channel/Channel;L{_PACKAGE}wlm/WorkerThread;)V"),
        ),
        # At the end of shutdown: aggregator.sendError(null, "...", ...), from another thread than
        # the worker's, which answers what it computes itself. The arguments are dropped.
        Change(rb"(\x2a\xb4..\x01\x12.\xb2..)\xb6..(\xb1)", b"\\1\x58\x58\x00\\2"),
    ),
}


def patched(name: str, code: bytes) -> bytes:
    """Change a class of CHANGES. Raises ValueError where it is not the one that is meant."""
    for change in CHANGES[name]:
        code = change.made(name, code)
    return code


def changed(jar: Path) -> dict[str, bytes]:
    """The changed classes of the server in the jar, by name; none if it is another server."""
    try:
        with zipfile.ZipFile(jar) as archive:
            return {name: patched(name, archive.read(name)) for name in CHANGES}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return {}
