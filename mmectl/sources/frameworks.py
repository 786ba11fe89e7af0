"""Which framework a model is for, as far as that is known without fetching it."""

from __future__ import annotations

import tarfile
import tempfile
import urllib.parse
import urllib.request
import zlib
from pathlib import Path

from mmectl.frameworks import detect
from mmectl.frameworks.mxnet import zoo
from mmectl.frameworks.values import ModelError
from mmectl.sources.origin import Source

_FIRST_BYTES = 1 << 16
_MOST_MEMBERS = 64


def framework_of(source: Source) -> str | None:
    """The framework's name; None where only what is fetched can tell, or nothing is known."""
    if source.framework or source.zoo:
        return source.framework or zoo.FRAMEWORK
    try:
        if source.path is not None:
            return detect.of(source.path).name
        if source.url is not None and source.url.startswith("file://"):
            return _of_tarball(Path(urllib.request.url2pathname(_path(source.url))))
    except (ModelError, OSError, tarfile.TarError, zlib.error):
        pass  # the upload says what is wrong
    return None


def _path(url: str) -> str:
    return urllib.parse.urlsplit(url).path


def _of_tarball(archive: Path) -> str:
    """Look at how the files of a tarball begin; nothing of it is unpacked where it says."""
    with tempfile.TemporaryDirectory(prefix="mmectl-") as scratch, tarfile.open(archive) as tar:
        for number, member in enumerate(tar):
            name = Path(member.name).name
            file = tar.extractfile(member) if member.isreg() and name not in ("", "..") else None
            if number < _MOST_MEMBERS and file is not None:
                Path(scratch, name).write_bytes(file.read(_FIRST_BYTES))
        return detect.of(Path(scratch)).name
