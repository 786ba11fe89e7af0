"""A model's file to an estimator: skops and pickles of known classes, or any pickle if allowed."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import os
import pickle
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

from runtimes.sklearn import known, model_files, pickles, plain_skops, sound, stand_ins
from runtimes.values import ModelError

ALLOWED = ("true", "1")


def allowed(environ: Mapping[str, str]) -> bool:
    """Whether the endpoint's owner lets models be code."""
    return environ.get(model_files.ALLOW_CODE, "").lower() in ALLOWED


def load(path: Path, *, code: bool) -> tuple[Any, list[str]]:
    """Load a file; the estimator, and which other scikit-learn wrote it.

    `code`: a pickle may be anything. Raises ModelError, MemoryError.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            made = _loaded(path, code)
        except MemoryError:
            raise
        except ModelError as error:
            raise ModelError(error.what, error.file or path.name, error.fix) from None
        except Exception as error:  # noqa: BLE001 - a damaged file can raise anything
            said = next(iter(str(error).splitlines()), "")[:300]
            what = f"cannot be loaded ({type(error).__name__}: {said})"
            other = _other(path)
            fix = model_files.AGAIN if other else model_files.NEW
            raise ModelError(f"{what}{other}", path.name, fix) from None
    return made, _versions(told)


def _other(path: Path) -> str:
    """Which scikit-learn wrote a file that this one does not read, where it is another."""
    import sklearn

    try:
        wrote = model_files.header(path).version
    except ModelError:
        return ""
    if wrote in (None, sklearn.__version__):
        return ""
    return f": it was written by scikit-learn {wrote}, this image has {sklearn.__version__}"


def _versions(told: list[warnings.WarningMessage]) -> list[str]:
    """Which scikit-learn wrote it, where it is not the one here."""
    import sklearn

    found = {getattr(one.message, "original_sklearn_version", "") for one in told} - {""}
    return [
        f"was written by scikit-learn {version}, this image has {sklearn.__version__}"
        for version in sorted(map(str, found))
    ]


def _loaded(path: Path, code: bool) -> Any:
    kind = model_files.kind_of(path)
    if kind == model_files.SKOPS:
        return sound.made_sound(_skops(path))
    if code:
        return _anything(path)
    with path.open("rb") as file:
        try:
            return sound.made_sound(Known(pickles.opened(file)).load())
        except _UnknownNameError as error:
            model_files.require_data(model_files.header(path), path.name)
            raise ModelError(str(error), path.name, model_files.CODE) from None
        except pickle.UnpicklingError as error:
            raise ModelError(str(error), path.name, model_files.NEW) from None


def _skops(path: Path) -> Any:
    with contextlib.suppress(plain_skops.Unusual):
        return plain_skops.load(path)
    return _by_skops(path)  # once the error, and what it holds of the file, is gone


def _by_skops(path: Path) -> Any:
    from skops import io
    from skops.io.exceptions import UntrustedTypesFoundException

    # it goes through all that it is given for each object of the file
    named = model_files.named(path)
    with contextlib.suppress(UntrustedTypesFoundException):
        return io.load(path, trusted=[name for name in known.trusted() if name in named])
    try:
        return io.load(path, trusted=known.trusted())
    except UntrustedTypesFoundException:
        unknown = io.get_untrusted_types(file=path)
        names = tuple(sorted(set(unknown) - set(known.trusted())))
        found = dataclasses.replace(model_files.header(path), code=names)
        model_files.require_data(found, path.name)
        raise


def _anything(path: Path) -> Any:
    """Load a pickle as joblib does: whoever wrote it runs code here."""
    import joblib

    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)
    return sound.made_of_code(joblib.load(path))


class _UnknownNameError(pickle.UnpicklingError):
    """A pickle names what is not known."""


class Known(pickles.Reader):
    """Reads a pickle of known names alone."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickles.Reader.dispatch)

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._stand_ins = stand_ins.StandIns()

    def find_class(self, module: str, name: str) -> Any:
        """The class or function of a known name. Raises UnpicklingError."""
        if name == "NumpyArrayWrapper" and module.startswith("joblib."):
            return pickles.Wrapper
        stands = self._stand_ins.of(module, name)
        if stands is not None:
            return stands
        if (module, name) in (("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")):
            return _reconstructed
        if (module, name) == known.PARTIAL:
            return functools.partial
        if not known.is_known(module, name):
            raise _UnknownNameError(f"names {module}.{name}, which may be any code"[:300])
        if known.is_ufunc(module, name):
            import numpy as np

            return getattr(np, name)
        if name in _OWN:
            return _OWN[name]
        return getattr(_imported(module), name)

    def load_reduce(self) -> None:
        """Call a known name, but make no array of somebody's addresses."""
        _no_array(self.stack[-2])
        super().load_reduce()
        _require_known_partial(self.stack[-1])

    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_newobj(self) -> None:
        """Make an instance of a known class, but no array of somebody's addresses."""
        _no_array(self.stack[-2])
        super().load_newobj()
        _require_known_partial(self.stack[-1])

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_newobj_ex(self) -> None:
        """The same, with arguments by name."""
        _no_array(self.stack[-3])
        super().load_newobj_ex()
        _require_known_partial(self.stack[-1])

    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex

    def load_build(self) -> None:
        """Set a state; NumPy believes what a type's says."""
        super().load_build()
        _require_known_partial(self.stack[-1])
        _require_sound_type(self.stack[-1])

    dispatch[pickle.BUILD[0]] = load_build

    def take(self, wrapper: pickles.Wrapper) -> Any:
        """Read an array of numbers."""
        import numpy as np

        shape = tuple(int(length) for length in wrapper.shape)
        if any(length < 0 for length in shape):
            raise pickle.UnpicklingError("has an array of negative length")
        array: Any = np.empty(shape, wrapper.dtype, "F" if wrapper.order == "F" else "C")
        # transposed, an array in Fortran's order lies in memory as C's
        rows = array.T if wrapper.order == "F" else array
        view = memoryview(rows.reshape(-1).view(np.uint8)) if array.nbytes else memoryview(b"")
        filled = 0
        while filled < len(view):
            count = self.file.readinto(view[filled:])  # type: ignore[attr-defined]
            if not count:
                raise EOFError("it ends too soon")
            filled += count
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _no_array(made: Any) -> None:
    import numpy as np

    if isinstance(made, type) and issubclass(made, np.ndarray):
        raise pickle.UnpicklingError("makes an array in an unknown way")


def _require_known_partial(made: Any) -> None:
    """Raise UnpicklingError for a partial of any function but the one that models have."""
    if isinstance(made, functools.partial) and made.func is not sound.known_function():
        raise _UnknownNameError("names functools.partial, which may be any code")


def _require_sound_type(made: Any) -> None:
    """Raise UnpicklingError for a structure with objects in it, or with fields outside of it."""
    import numpy as np

    if not isinstance(made, np.dtype):
        return
    if made.subdtype is not None:
        raise pickle.UnpicklingError("has a type of arrays")
    for kind, offset, *_ in (made.fields or {}).values():
        if kind.hasobject or offset < 0 or offset + kind.itemsize > made.itemsize:
            raise pickle.UnpicklingError("has a type whose fields cannot be right")


def _imported(module: str) -> Any:
    """Import a module that may have had another name: NumPy's core has an underscore since 2."""
    here = known.today(module)
    try:
        return importlib.import_module(here)
    except ImportError:
        if not here.startswith("numpy._core"):
            raise
        return importlib.import_module("numpy.core" + here[len("numpy._core") :])


def _reconstructed(kind: Any, base: Any, state: Any) -> Any:
    """What copyreg makes of a class in the oldest protocols."""
    if base is not object or state is not None or not isinstance(kind, type):
        raise pickle.UnpicklingError("makes an object in an unknown way")
    return object.__new__(kind)


def _empty_array(kind: Any, shape: Any, dtype: Any) -> Any:
    """An array that its state will fill, and give its type."""
    import numpy as np

    del dtype

    if kind is not np.ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError("makes an array in an unknown way")
    return np.ndarray((0,), "b")


def _latin1(text: str, encoding: str) -> bytes:
    """Bytes as pickles of protocol 2 write them: as text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encodes as {encoding}"[:100])
    return text.encode("latin1")


# What stands for names that could do more than a model needs
_OWN = {"_reconstruct": _empty_array, "encode": _latin1}


def code_allowed() -> bool:
    """Whether this process may run a model's code."""
    return allowed(os.environ)
