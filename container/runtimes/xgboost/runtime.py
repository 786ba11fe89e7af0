"""XGBoost as a runtime; it is imported when it is needed, see base.py."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtimes import base
from runtimes.tables import Dialect, Features, Table
from runtimes.values import EngineError, ModelError, ran_out_of_memory

MIB = 2**20
WORKER_BYTES = 16 * MIB
# Of the peak of a load, times the size of the file: measured 3.8, 11.5 and 5.8
PEAK = {"UBJ": 4, "JSON": 12, "pickle": 6}
MANY_ROWS = 256  # below, waking another thread takes longer than what it computes


class Model(base.TableModel):
    """One Booster, or an ensemble of them, whose answers are averaged."""

    dialect = Dialect.XGBOOST

    def __init__(self, name: str, boosters: Sequence[Any]) -> None:
        self.name = name
        self._boosters = [_One(booster) for booster in boosters]
        first = boosters[0]
        self.features = Features(
            count=first.num_features(), names=first.feature_names, fewer_allowed=True
        )

    def predict(self, table: Table, threads: int) -> Any:
        """Answer each row, as Booster.predict does."""
        import numpy as np

        many = threads if table.rows >= MANY_ROWS else 1
        answers = [one.predict(table.array, many) for one in self._boosters]
        return answers[0] if len(answers) == 1 else np.mean(answers, axis=0)


class _One:
    """A Booster, asked in the quickest way that gives its own answers, bit for bit."""

    def __init__(self, booster: Any) -> None:
        from xgboost import DMatrix
        from xgboost.core import XGBoostError

        self._booster, self._matrix, self._error = booster, DMatrix, XGBoostError
        # dart's answers differ in the last digit otherwise, and a linear model has no such way
        self._in_place = _kind(booster) == "gbtree"
        self._threads = 0

    def predict(self, array: Any, threads: int) -> Any:
        try:
            if threads != self._threads:
                self._booster.set_param({"nthread": threads})
                self._threads = threads
            if self._in_place:
                return self._booster.inplace_predict(array, validate_features=False)
            rows = self._matrix(array, nthread=threads)
            return self._booster.predict(rows, validate_features=False)
        except self._error as error:
            raise _translated(error) from None


class XGBoost(base.Runtime):
    """XGBoost's Python package."""

    name, title = "xgboost", "XGBoost"
    files = ("xgboost-model", "*.ubj", "*.bst", "XGBoost's *.json")
    data_alone = True
    fork_after_load = True

    def installed(self) -> bool:
        """Whether the package is there."""
        return importlib.util.find_spec("xgboost") is not None

    def detect(self, folder: Path) -> bool:
        """Whether a file is one of XGBoost's."""
        from runtimes.xgboost import model_files

        return model_files.detect(folder)

    def shareable(self, folder: Path) -> bool:
        """All are data: of a pickle two names are read."""
        return self.detect(folder)

    def preload(self) -> None:
        """Train, save, load and ask a small model."""
        import numpy as np
        import xgboost

        from runtimes.xgboost import model_files  # noqa: F401 - for the forks

        rows: Any = np.arange(8, dtype=np.float32).reshape(4, 2)
        with xgboost.config_context(verbosity=0):
            matrix = xgboost.DMatrix(rows, rows[:, 0] > 1, nthread=1)
            made = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 2)
        booster = xgboost.Booster(model_file=made.save_raw("ubj"))
        _One(booster).predict(rows[:1], 1)
        booster.predict(matrix)

    def model_name(self, folder: Path) -> str:
        """Tell the name of the first file."""
        from runtimes.xgboost import model_files

        return model_files.find(folder)[0].name

    def footprint(self, folder: Path) -> int:
        """Estimate it by the size of the files and how their format is read."""
        from runtimes.xgboost import model_files

        found = model_files.find(folder)
        sizes = [path.stat().st_size * PEAK[model_files.kind_of(path) or ""] for path in found]
        return WORKER_BYTES + sum(sizes)

    def load(self, folder: Path, threads: int) -> Model:
        """Load the files of the model."""
        from runtimes.xgboost import model_files

        del threads
        found = model_files.find(folder)
        boosters = [_loaded(path) for path in found]
        if len({booster.num_features() for booster in boosters}) != 1:
            listed = ", ".join(path.name for path in found)
            raise ModelError(f"are not an ensemble: {listed} take different numbers of columns")
        return Model(found[0].name, boosters)


def _loaded(path: Path) -> Any:
    """Load one file; raises ModelError, MemoryError."""
    import pickle

    import xgboost

    from runtimes.xgboost import model_files

    data = bytearray(path.stat().st_size)
    with path.open("rb") as file:
        file.readinto(data)
    _check_version(model_files.version_of(data, path.name), xgboost.__version__, path.name)
    try:
        if model_files.kind_of(path) == model_files.PICKLE:
            return model_files.unpickled(data, xgboost.Booster)
        return xgboost.Booster(model_file=data)
    except xgboost.core.XGBoostError as error:
        raise _refused(error, path.name) from None
    except pickle.UnpicklingError as error:
        raise ModelError(str(error), path.name) from None


def _check_version(wrote: tuple[int, int, int], here: str, name: str) -> None:
    """Raise ModelError for a file of a later XGBoost: an older one may read it and answer wrong."""
    major, minor = here.split(".")[:2]
    if wrote[:2] > (int(major), int(minor)):
        raise ModelError(
            f"was written by XGBoost {'.'.join(map(str, wrote))}, this image has {here}, which "
            "could answer wrong without an error",
            name,
            "train it with that version, or raise the one in requirements/xgboost.txt",
        )


def _refused(error: Exception, name: str) -> Exception:
    """What a load's error is: a lack of memory, or the file's."""
    text = _first_line(error)
    if ran_out_of_memory(text):
        return MemoryError(text)
    return ModelError(f"XGBoost does not read it: {text}", name, "save it again, as UBJ")


def _translated(error: Exception) -> Exception:
    text = _first_line(error)
    return MemoryError(text) if ran_out_of_memory(str(error)) else EngineError(text)


def _first_line(error: Exception) -> str:
    """XGBoost's message without the place in its source and the stack."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].partition("] ")[2] or lines[0] if lines else type(error).__name__


def _kind(booster: Any) -> str:
    import json

    config = json.loads(booster.save_config())
    return str(config["learner"]["gradient_booster"]["name"])


RUNTIME = XGBoost()
