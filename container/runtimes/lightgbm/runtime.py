"""LightGBM as a runtime; it is imported when it is needed, see base.py."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtimes import base, one_file
from runtimes.tables import Features, Table
from runtimes.values import EngineError, ModelError, ran_out_of_memory

if TYPE_CHECKING:
    from runtimes.lightgbm.model_files import Header

PEAK = 4  # of a load, times the size of the file
MANY_ROWS = 256  # below, waking another thread takes longer than what it computes


class Model(base.TableModel):
    """One Booster; `prediction` is what model.json chose, None: as Booster.predict answers."""

    def __init__(self, name: str, booster: Any, header: Header, prediction: str | None) -> None:
        from lightgbm.basic import LightGBMError

        from runtimes.categories import Categories

        self.name = name
        self._booster, self._error, self._prediction = booster, LightGBMError, prediction
        self._codes = {
            index: Categories(values, index, header.names[index])
            for index, values in header.codes.items()
        }
        self.features = Features(
            names=header.names,
            dtype="float64",
            categorical=tuple(header.codes),
            infinity_allowed=True,
            blank="_",
        )

    def predict(self, table: Table, threads: int) -> Any:
        """Answer each row, as the prediction says."""
        array = table.array if table.columns is None else self._encoded(table.columns, table.rows)
        many = threads if table.rows >= MANY_ROWS else 1
        try:
            answers = self._booster.predict(
                array, raw_score=self._prediction == "raw", num_threads=many
            )
        except self._error as error:
            raise _translated(error) from None
        return self._said(answers)

    def _encoded(self, columns: Mapping[str, Any], rows: int) -> Any:
        import numpy as np

        made: Any = np.empty((rows, self.features.width or 0), np.float64)
        for index in range(made.shape[1]):
            values, codes = columns[self.features.key(index)], self._codes.get(index)
            made[:, index] = values if codes is None else codes.codes(values)
        return made

    def _said(self, answers: Any) -> Any:
        import numpy as np

        if self._prediction not in ("probability", "class"):
            return answers
        if answers.ndim == 1:
            answers = np.stack([1.0 - answers, answers], 1)
        return answers if self._prediction == "probability" else np.argmax(answers, axis=1)


class LightGBM(one_file.OneFile):
    """LightGBM's Python package."""

    name, title = "lightgbm", "LightGBM"
    files = ("LightGBM's *.txt",)
    fork_after_load = True
    data_alone = True
    peak = PEAK

    def preload(self) -> None:
        """Train, save, load and ask a small model."""
        import lightgbm
        import numpy as np

        from runtimes import categories  # noqa: F401 - for the forks
        from runtimes.lightgbm import model_files, trees  # noqa: F401 - for the forks

        quiet = logging.getLogger("lightgbm")
        quiet.setLevel(logging.ERROR)
        lightgbm.register_logger(quiet)
        rows: Any = np.arange(40, dtype=np.float64).reshape(20, 2)
        chosen = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 1}
        made = lightgbm.train(chosen, lightgbm.Dataset(rows, rows[:, 0] > 9), 2)
        self._small = made.model_to_string()
        lightgbm.Booster(model_str=self._small).predict(rows[:1], num_threads=1)

    def samples(self, folder: Path) -> Sequence[Path]:
        """The one that was preloaded."""
        return [self.sample(folder, "model.txt", self._small.encode())]

    def load(self, folder: Path, threads: int) -> Model:
        """Check the file to its end, and load it: LightGBM does not survive a damaged one."""
        import lightgbm

        from runtimes.lightgbm import model_files, trees

        del threads
        path, chosen = model_files.find(folder), model_files.options(folder)
        data = path.read_bytes()
        header = model_files.header(data, path.name, chosen)
        model_files.check_prediction(header, chosen)
        text = trees.checked(data, header, path.name)
        del data
        try:
            # of a path it would read by a buffer of 16 MB, which is kept
            booster = lightgbm.Booster(model_str=text)
        except lightgbm.basic.LightGBMError as error:
            if ran_out_of_memory(str(error)):
                raise MemoryError(str(error)) from None
            what = f"LightGBM does not read it: {error}"
            raise ModelError(what[:300], path.name, "save it again") from None
        return Model(path.name, booster, header, chosen.predict)


def _translated(error: Exception) -> Exception:
    text = str(error)[:300]
    return MemoryError(text) if ran_out_of_memory(text) else EngineError(text)


RUNTIME = LightGBM()
