"""Models that are tarballs already: unpacked where temporary files are, looked at, removed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mmectl.base.errors import ArtifactError
from mmectl.frameworks import look
from mmectl.frameworks.values import ModelError
from mmectl.registry.fetching import Unpacking, unpack
from mmectl.starting.judging import Left, Model, framework_of, said

ENDINGS = (".tar.gz", ".tgz")
LARGEST = 1 << 26  # bytes, packed
MOST = 50  # of one folder


def judged(path: Path, shown: str, framework: str | None) -> Model | Left | None:
    """A tarball as a model, why it is none though it looks like one, or None."""
    try:
        if path.stat().st_size > LARGEST:
            return Left(shown, "is too large to be looked at here: add it to models by hand")
        plain = _looked(path, shown, framework, allow_code=False)
        code = _looked(path, shown, framework, allow_code=True) if plain is None else None
    except ModelError as error:
        return Left(shown, said(error), error.fix if error.fix.startswith("--") else "")
    except (ArtifactError, OSError):
        return None  # another program's archive, or one that no instance unpacks
    return plain or code


def _looked(path: Path, shown: str, framework: str | None, *, allow_code: bool) -> Model | None:
    """A model that the upload takes; None for none. Raises ModelError, ArtifactError."""
    with tempfile.TemporaryDirectory(prefix="mmectl-") as scratch:
        folder = Path(scratch, "model")
        try:
            unpack(path, folder, label=shown, how=Unpacking(allow_code))
        except ArtifactError:
            if allow_code:
                raise
            return None
        found = framework_of(folder, framework)
        if found is None:
            return None
        name, named = found[0].name, found[1]
        wanted = name if named else None
        looked = look.look_at_tarball(folder, shown, allow_code=allow_code, framework=wanted)
        if looked.problems and allow_code:
            first = str(looked.problems[0])
            raise ModelError(first.removeprefix(f"{shown}: "))
        return None if looked.problems else Model("", shown, name, named, allow_code, packed=True)
