"""scikit-learn as a runtime; it is imported when it is needed, see base.py."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtimes import base, one_file, process
from runtimes.tables import Dialect, Features, Table
from runtimes.values import EngineError, ModelError, RequestError

log = logging.getLogger("sklearn")
MIB = 2**20
WORKER_BYTES = 16 * MIB
PEAK = 4  # of a load, times the size of the file: measured 2.0 for joblib, more if compressed
SHAREABLE_BYTES = 4 * MIB  # a larger file may take long to answer, and others would wait for it
MANY_ROWS = 256  # below, waking another thread takes longer than what it computes


class Model(base.TableModel):
    """One estimator or pipeline, of which one method answers."""

    dialect = Dialect.SKLEARN

    def __init__(self, name: str, estimator: Any, method: str, notes: Sequence[str] = ()) -> None:
        """Make it of an estimator; `notes` say of an error whose file it may be the fault of."""
        from runtimes.sklearn import columns, precision

        self.name, self._notes = name, notes
        found = self._columns = columns.of(estimator)
        self._answer = _bound(estimator, method, name, notes)
        self._apart = method == "predict"
        self._both = precision.BothAtOnce.of(estimator, method)
        self._frame = _frames(name) if found.frame else None
        self._of_objects = _of_objects() if found.unknown else None
        reading = precision.Reading.EXACT if found.frame or found.text else precision.of(estimator)
        self.features = Features(
            count=found.count,
            names=found.names,
            # as AWS's container reads numbers; a frame has what pandas makes of them
            dtype="float64" if reading is precision.Reading.EXACT else "float32",
            sent=reading is precision.Reading.BOTH,
            categorical=None if found.text is None else tuple(map(self._key, found.text)),
            objects=found.objects,
            named=self._of_objects is not None,
        )
        self.outputs = _names(estimator, method)
        self._threads = _Threads()

    def _key(self, index: int) -> str | int:
        names = self._columns.names
        return index if names is None else names[index]

    def predict(self, table: Table, threads: int) -> Any:
        """Answer each row, as the estimator's method does."""
        self._threads.use(threads if table.rows >= MANY_ROWS else 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that rows have not, or versions: told before
            try:
                return self._answered(table)
            except (MemoryError, RequestError):
                raise
            except (ValueError, TypeError) as error:
                raise RequestError(f"the model does not take it: {_first_line(error)}") from None
            except Exception as error:  # noqa: BLE001 - a pipeline can raise anything
                raise EngineError(_told(error, self.name, self._notes)) from None

    def _answered(self, table: Table) -> Any:
        """What it answers to the rows; where they came without a type, see precision.py."""
        from runtimes.sklearn import precision

        rows = self._rows(table)
        if table.sent is None:
            return self._of_type(rows)
        answers = None if self._both is None else self._both.ask(rows, table.sent)
        if answers is not None:
            rough, exact = precision.halves(_plain(answers), len(rows))
        else:
            exact = self._tried(table.sent)
            if isinstance(exact, Exception):
                return self._in_float32(rows, exact)
            rough = self._tried(rows)
        if isinstance(rough, Exception) or not precision.alike(rough, exact, apart=self._apart):
            return exact
        return rough

    def _tried(self, rows: Any) -> Any:
        """What it answers, or the error with which it refuses the rows."""
        try:
            return _plain(self._answer(rows))
        except (ValueError, TypeError) as error:
            return error.with_traceback(None)

    def _in_float32(self, rows: Any, error: Exception) -> Any:
        """What it answers where it was fitted with float32, and takes that alone (KMeans, NMF).

        Raises the error of the numbers as they were sent where these are refused, not their type:
        rounded to float32, a category that it does not know may be one that it does.
        """
        if not isinstance(self._tried(rows.astype("float64")), Exception):
            raise error
        rough = self._tried(rows)
        if isinstance(rough, Exception):
            raise error
        return rough

    def _of_type(self, rows: Any) -> Any:
        if getattr(rows, "dtype", "") != "float32":
            return _plain(self._answer(rows))
        kept = rows.copy()  # an estimator may write into what it is given (copy=False)
        try:
            return _plain(self._answer(rows))
        except (ValueError, TypeError):
            # some (KMeans, NMF) take the type that they were fitted with alone
            return _plain(self._answer(kept.astype("float64")))

    def _rows(self, table: Table) -> Any:
        """A table as the estimator was fitted with: a frame, an array, or a list of texts."""
        if self._columns.objects:
            return (table.columns or {})["0"].tolist()
        if self._columns.documents:
            texts = (table.columns or {})["0"].tolist()
            return ["" if one is None else str(one) for one in texts]
        if self._frame is not None:
            return self._frame(self.features, table)
        if table.columns is None:
            return table.array
        if self._of_objects is not None and isinstance(table.columns["0"][0], dict):
            return self._of_objects(table.columns["0"].tolist())
        import numpy as np

        made: Any = np.empty((table.rows, len(table.columns)), object)
        for index, column in enumerate(_filled(table, self.features)):
            made[:, index] = column
        return made


def _filled(table: Table, features: Features) -> list[Any]:
    """The columns of a table in the model's order; what is missing is NaN, as pandas has it."""
    import numpy as np

    if table.columns is None:
        return [table.array[:, index] for index in range(table.array.shape[1])]
    found = []
    for index in range(len(table.columns)):
        column = table.columns[features.key(index)]
        if column.dtype == object:
            column = column.copy()
            column[[one is None for one in column.tolist()]] = np.nan
        found.append(column)
    return found


def _frames(name: str) -> Callable[[Features, Table], Any]:
    """What makes frames; raises ModelError where pandas is not there."""
    try:
        import pandas as pd
    except ImportError:
        raise ModelError(
            "takes its columns by name, which needs pandas: it is not in this image",
            name,
            "image.requirements: [pandas] in config.yaml, then mmectl build and mmectl deploy",
        ) from None

    def frame(features: Features, table: Table) -> Any:
        columns = _filled(table, features)
        keys = [features.key(index) for index in range(len(columns))]
        return pd.DataFrame(dict(zip(keys, columns)), columns=keys)  # noqa: B905

    return frame


def _of_objects() -> Callable[[Any], Any] | None:
    """What makes a frame of rows that name their columns; None where pandas is not there."""
    try:
        import pandas as pd
    except ImportError:
        return None
    return lambda rows: pd.DataFrame(rows)


def _bound(estimator: Any, method: str, name: str, notes: Sequence[str]) -> Callable[[Any], Any]:
    found: Callable[[Any], Any] | None = getattr(estimator, method, None)
    if found is None:
        from runtimes.sklearn import model_files

        has = [one for one in model_files.METHODS if hasattr(estimator, one)]
        what = f"is a {type(estimator).__name__}, which has no method {method}"
        if notes:  # what another version wrote may lack what its methods need
            raise ModelError("; ".join([what, *notes]), name, model_files.AGAIN)
        if not has:
            raise ModelError(f"{what}: it answers nothing", name)
        fix = f'name another in model.json: {{"framework": "sklearn", "method": "{has[0]}"}}'
        raise ModelError(what, name, fix)
    return found


def _names(estimator: Any, method: str) -> list[str] | None:
    """What the columns of an answer are called, where they are classes."""
    if not method.startswith("predict_"):
        return None
    classes = getattr(estimator, "classes_", None)
    return None if classes is None or isinstance(classes, list) else [str(one) for one in classes]


def _plain(answer: Any) -> Any:
    """An answer as an array; several outputs by name; a sparse matrix as a full one."""
    import numpy as np

    if isinstance(answer, Mapping):
        return {str(name): _plain(one) for name, one in answer.items()}
    if isinstance(answer, list) and answer and isinstance(answer[0], np.ndarray):
        return {f"output_{index}": one for index, one in enumerate(answer)}
    if hasattr(answer, "toarray"):
        answer = answer.toarray()
    if hasattr(answer, "to_numpy"):
        answer = answer.to_numpy()
    return np.asarray(answer)


def _told(error: BaseException, name: str, notes: Sequence[str]) -> str:
    """An error of scikit-learn's own code, and the other version that wrote the file, if any."""
    said = f"{type(error).__name__}: {_first_line(error)}"
    again = [f"{name} {note}: save it again with this one, or train it again" for note in notes]
    return "; ".join([said, *again])


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


class _Threads:
    """The number of threads of OpenMP, set where it changes: that takes some microseconds."""

    def __init__(self) -> None:
        self._libraries = [ctypes.CDLL(path) for path in process.loaded_openmp()]
        self._now = 0

    def use(self, number: int) -> None:
        """Compute with so many threads from now on."""
        if number != self._now:
            for library in self._libraries:
                library.omp_set_num_threads(number)
            self._now = number


class Sklearn(one_file.OneFile):
    """scikit-learn's Python package."""

    name, title = "sklearn", "scikit-learn"
    files = ("*.skops", "*.joblib", "*.pkl", "*.pickle")
    data_alone = True
    worker_bytes, peak = WORKER_BYTES, PEAK
    fork_after_load = True

    def installed(self) -> bool:
        """Whether the packages are there."""
        return super().installed() and importlib.util.find_spec("joblib") is not None

    def shareable(self, folder: Path) -> bool:
        """A small skops file: of a pickle's author less is known."""
        from runtimes.sklearn import model_files

        try:
            path = model_files.find(folder)
        except ModelError:
            return False
        small = path.stat().st_size <= SHAREABLE_BYTES
        return small and model_files.kind_of(path) == model_files.SKOPS

    def preload(self) -> None:
        """Import what estimators are made of; fit, save, load and ask small ones."""
        from runtimes.sklearn import warming

        warming.rehearse()

    def samples(self, folder: Path) -> Sequence[Path]:
        """One of each format."""
        from runtimes.sklearn import warming

        return [self.sample(folder, *one) for one in warming.small().items()]

    def load(self, folder: Path, threads: int) -> Model:
        """Load the model's file."""
        from runtimes.sklearn import loading, model_files

        del threads
        path, method = model_files.find(folder), model_files.method(folder)
        estimator, notes = loading.load(path, code=loading.code_allowed())
        for note in notes:
            log.warning("%s: %s: answers may differ", path.name, note)
        try:
            return Model(path.name, estimator, method, notes)
        except AttributeError as error:
            raise EngineError(_told(error, path.name, notes)) from None


RUNTIME = Sklearn()
