"""What the operating system refused and nobody expected there, in words: no bug of mmectl's."""

from __future__ import annotations

import errno
import os
import shlex

from mmectl.base.errors import MmectlError

_OWNER = "see who owns it: ls -ld {0}"
_SPACE = "free some space; what is left: df -h {0}"
_HINTS = {  # {0} is the file, as a shell takes it
    errno.EACCES: _OWNER,
    errno.EPERM: _OWNER,
    errno.EROFS: "set local.state_dir to a folder that you may write",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EIO: "look at the disk: df -h {0}",
    errno.ENAMETOOLONG: "use shorter names, or a folder nearer to /",
    errno.ELOOP: "see where the link leads: ls -l {0}",
    errno.EMFILE: "let processes open more files: ulimit -n 4096",
    errno.ENFILE: "close other programs: the system has too many open files",
    errno.ENOMEM: "close other programs: the system has no more memory",
}


def hint(error: OSError, path: object = None) -> str | None:
    """What to do about it; None where the state of the system does not explain it."""
    found = _HINTS.get(error.errno or 0)
    path = path or _file(error)
    return found and found.format(shlex.quote(str(path)) if path else ".")


def refused(error: OSError) -> MmectlError | None:
    """The error as people read it; None for one that may be a bug."""
    found = hint(error)
    if found is None:
        return None
    what = _file(error) or "what was asked of it"
    return MmectlError(f"the system refuses {what}: {error.strerror}", hint=found, code="system")


def _file(error: OSError) -> str | None:
    """The file that it names; a descriptor's number would tell nobody anything."""
    name = error.filename
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else None
