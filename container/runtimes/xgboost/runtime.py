"""XGBoost as a runtime; it is imported when it is needed, see base.py."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtimes import base
from runtimes.tables import Dialect, Features, Table
from runtimes.values import EngineError, ModelError, ran_out_of_memory

if TYPE_CHECKING:
    from runtimes.xgboost.model_files import Options

MIB = 2**20
WORKER_BYTES = 16 * MIB
# Of the peak of a load, times the size of the file: measured 3.8, 11.5 and 5.8
PEAK = {"UBJ": 4, "JSON": 12, "pickle": 6}
MANY_ROWS = 256  # below, waking another thread takes longer than what it computes


class Model(base.TableModel):
    """One Booster, or an ensemble of them, whose answers are averaged.

    `categories` are by index those of columns that take them, as the first booster knows them.
    """

    dialect = Dialect.XGBOOST

    def __init__(
        self,
        name: str,
        boosters: Sequence[Any],
        chosen: Options,
        categories: Mapping[int, Sequence[Any]],
    ) -> None:
        from runtimes.categories import Categories

        self.name = name
        first = boosters[0]
        self._prediction = chosen.predict
        self._boosters = [_One(one, chosen) for one in boosters]
        self.features = Features(
            count=first.num_features(),
            names=first.feature_names,
            fewer_allowed=True,
            indexing=chosen.indexing_mode,
            categorical=tuple(categories),
        )
        self._codes = {
            index: Categories(
                values, index, self.features.key(index), strict=True, note=_note(values)
            )
            for index, values in categories.items()
        }

    def predict(self, table: Table, threads: int) -> Any:
        """Answer each row, as Booster.predict does, or as model.json chose."""
        import numpy as np

        many = threads if table.rows >= MANY_ROWS else 1
        rows = table.array if table.columns is None else self._encoded(table.columns, table.rows)
        answers = [one.predict(rows, many) for one in self._boosters]
        return self._said(answers[0] if len(answers) == 1 else np.mean(answers, axis=0))

    def _encoded(self, columns: Mapping[str, Any], rows: int) -> Any:
        import numpy as np

        made: Any = np.empty((rows, self.features.width or 0), np.float32)
        for index in range(made.shape[1]):
            values, codes = columns[self.features.key(index)], self._codes.get(index)
            made[:, index] = values if codes is None else codes.codes(values)
        return made

    def _said(self, answers: Any) -> Any:
        import numpy as np

        if self._prediction == "class":
            return np.argmax(answers, 1) if answers.ndim == 2 else (answers > 0.5).astype(int)
        if self._prediction == "probability" and answers.ndim == 1:
            return np.stack([1.0 - answers, answers], 1)
        return answers


def _note(values: Sequence[Any]) -> str:
    """What is to be said of categories that XGBoost cuts wrongly where it writes them."""
    if all(one.isascii() for one in values if isinstance(one, str)):
        return ""
    return (
        "; XGBoost counts letters outside ASCII wrongly where it writes categories into a file: "
        "train it with names in ASCII"
    )


class _One:
    """A Booster, asked in the quickest way that gives its own answers, bit for bit."""

    def __init__(self, booster: Any, chosen: Options) -> None:
        from xgboost import DMatrix
        from xgboost.core import XGBoostError

        self._booster, self._matrix, self._error = booster, DMatrix, XGBoostError
        # dart's answers differ in the last digit otherwise, and a linear model has no such way
        self._in_place = _kind(booster) == "gbtree"
        self._threads = 0
        self._raw = chosen.predict == "raw"
        self._rounds = (0, _rounds(booster, chosen.trees))

    def predict(self, array: Any, threads: int) -> Any:
        try:
            if threads != self._threads:
                self._booster.set_param({"nthread": threads})
                self._threads = threads
            if self._in_place:
                return self._booster.inplace_predict(
                    array,
                    validate_features=False,
                    iteration_range=self._rounds,
                    predict_type="margin" if self._raw else "value",
                )
            return self._booster.predict(
                self._matrix(array, nthread=threads),
                validate_features=False,
                iteration_range=self._rounds,
                output_margin=self._raw,
            )
        except self._error as error:
            raise _translated(error) from None


def _rounds(booster: Any, trees: str | None) -> int:
    """How many rounds answer, 0: all. A file of an estimator's uses the best, as that itself does.

    Such a file tells by an attribute, and so does one that was stopped early.
    """
    best = booster.attr("best_iteration")
    wanted = trees == "best" or (trees is None and booster.attr("scikit_learn") is not None)
    if not wanted or best is None:
        return 0
    rounds = int(best) + 1
    if _trees_a_round(booster) > 1:
        return rounds
    # a forest in a file of XGBoost before 1.6: each of its trees is taken for a round
    limit = booster.attr("best_ntree_limit")
    return rounds * _trees_told(booster) if limit is None else int(limit)


def _trees_told(booster: Any) -> int:
    """How many trees an estimator says that a round has, which XGBoost before 1.6 wrote down."""
    import json

    told = json.loads(booster.attr("scikit_learn") or "{}").get("num_parallel_tree")
    return int(told or 1)


def _trees_a_round(booster: Any) -> int:
    """How many trees a round has for each class, as the file says."""
    found = _learner(booster)["gradient_booster"]
    found = found.get("gbtree", found)  # dart's
    return int(found.get("gbtree_model_param", {}).get("num_parallel_tree", 1))


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

        from runtimes import categories  # noqa: F401 - for the forks
        from runtimes.xgboost import model_files

        rows: Any = np.arange(8, dtype=np.float32).reshape(4, 2)
        with xgboost.config_context(verbosity=0):
            matrix = xgboost.DMatrix(rows, rows[:, 0] > 1, nthread=1)
            made = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 2)
        self._small = made.save_raw("ubj")
        booster = xgboost.Booster(model_file=self._small)
        _One(booster, model_files.Options()).predict(rows[:1], 1)
        booster.predict(matrix)

    def samples(self, folder: Path) -> Sequence[Path]:
        """The one that was preloaded."""
        return [self.sample(folder, "model.ubj", bytes(self._small))]

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
        found, chosen = model_files.find(folder), model_files.options(folder)
        boosters = [_loaded(path) for path in found]
        for path, booster in zip(found, boosters):  # noqa: B905 - Python 3.8
            model_files.check_prediction(_objective(booster), chosen)
            if _kind(booster) == "gblinear" or _objective(booster) == model_files.LOGIT:
                model_files.header(path.read_bytes(), path.name)  # says where it answers wrong
        if len({booster.num_features() for booster in boosters}) != 1:
            listed = ", ".join(path.name for path in found)
            raise ModelError(f"are not an ensemble: {listed} take different numbers of columns")
        return Model(found[0].name, boosters, chosen, _categories(found, boosters))


def _categories(paths: Sequence[Path], boosters: Sequence[Any]) -> Mapping[int, Sequence[Any]]:
    """The categories that the files have in common; raises ModelError where they differ."""
    from runtimes.xgboost import model_files

    if not any("c" in (one.feature_types or ()) for one in boosters):
        return {}
    first, *others = (model_files.header(path.read_bytes(), path.name).categories for path in paths)
    if any(one != first for one in others):
        listed = ", ".join(path.name for path in paths)
        raise ModelError(f"are not an ensemble: {listed} know different categories")
    return first


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
            text = model_files.json_of(data, path.name)
            if text is None:
                return model_files.unpickled(data, xgboost.Booster)
            data = bytearray(text)
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
    return str(_learner(booster)["gradient_booster"]["name"])


def _objective(booster: Any) -> str:
    return str(_learner(booster)["objective"]["name"])


def _learner(booster: Any) -> Any:
    import json

    return json.loads(booster.save_config())["learner"]


RUNTIME = XGBoost()
