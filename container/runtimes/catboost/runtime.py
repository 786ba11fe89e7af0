"""CatBoost as a runtime; it is imported when it is needed, see base.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtimes import base, one_file
from runtimes.catboost import flags
from runtimes.tables import Features, Table
from runtimes.values import EngineError, ModelError, RequestError, ran_out_of_memory

if TYPE_CHECKING:
    from runtimes.catboost.model_files import Header, Options

PEAK = 3  # of a load, times the size of the file; measured 2.2
MANY_ROWS = 256  # below, starting other threads takes longer than what they compute
_ROW_BYTES = 64  # that CatBoost takes for a number of a row or an answer, at most
_TYPES = {"raw": "RawFormulaVal", "probability": "Probability", "class": "Class"}
_MOST_ASKED = 16  # categories of a column, each in some milliseconds
_COUNTS = ("Poisson", "Tweedie")


class Model(base.TableModel):
    """One model; answers what the class does that it was trained with, or as model.json chose."""

    def __init__(self, name: str, model: Any, header: Header, chosen: Options) -> None:
        import catboost

        self.name = name
        self._model, self._error, self._pool = model, catboost.CatBoostError, catboost.Pool
        self._kind = _kind(header.loss, chosen.predict)
        self._missing, self._size = chosen.missing, max(header.dimension, 1)
        self._categorical, self._texts = list(header.categorical), list(header.texts)
        self._as_text = {*header.categorical, *header.texts}
        self._flags: dict[int, bool] = {}
        self._whole: dict[int, bool] = {}
        self._asked: dict[int, set[str]] = {}
        self.features = Features(
            count=header.features,
            names=header.names if header.named else None,
            categorical=tuple(sorted(self._as_text)),
            infinity_allowed=True,
        )

    def predict(self, table: Table, threads: int) -> Any:
        """Answer each row."""
        width = self.features.width or 1
        _reserve(table.rows * (width + self._size) * _ROW_BYTES)
        many = threads if table.rows >= MANY_ROWS else 1
        rows = table.array if table.columns is None else self._mixed(table, table.columns)
        try:
            answers = self._model.predict(rows, prediction_type=self._kind, thread_count=many)
        except self._error as error:
            raise _translated(error) from None
        return answers[:, 0] if answers.ndim == 2 and answers.shape[1] == 1 else answers

    def _mixed(self, table: Table, columns: Mapping[str, Any]) -> Any:
        """A pool of columns, of which some hold texts."""
        import numpy as np

        made: Any = np.empty((table.rows, self.features.width or 0), object)
        for index in range(made.shape[1]):
            values = columns[self.features.key(index)]
            if index in self._as_text:
                meant = self._meant if table.untyped else lambda text, _: text
                values = [
                    meant(value, index) if isinstance(value, str) else self._text(value, row, index)
                    for row, value in enumerate(values)
                ]
            made[:, index] = values
        return self._pooled(made)

    def _pooled(self, made: Any) -> Any:
        return self._pool(
            made,
            cat_features=self._categorical or None,
            text_features=self._texts or None,
            thread_count=1,
        )

    def _meant(self, text: str, index: int) -> str:
        """The category that a text without a type stands for: a flag or a whole number, too."""
        flag, number = flags.WORDS.get(text.lower()), flags.whole(text)
        if flag is not None and self._is_flag(index):
            return flag
        if number is not None and self._is_whole(index, text):
            return number
        return text

    def _text(self, value: Any, row: int, index: int) -> str:
        """A category as CatBoost knows it, which takes texts and whole numbers alone."""
        where = f"row {row + 1}, column {index + 1} ({self.features.key(index)!r})"
        if value is None:
            if self._missing is not None:
                return self._missing
            raise RequestError(
                f"{where}: the category is missing, which CatBoost does not know: send the text "
                'that stood for it in training, or name that in model.json: "missing": "nan"'
            )
        # of a flag CatBoost, too, makes 1 or 0
        if isinstance(value, float) and not value.is_integer():
            raise RequestError(f"{where}: {value} is not a category: send it as text")
        return str(int(value))

    def _is_flag(self, index: int) -> bool:
        """Whether the categories of a column are 1 and 0, as flags are, and not words for them."""
        if index not in self._flags:
            self._flags[index] = index in self._categorical and flags.are(
                index, self.features.width or 0, self._as_text, self._model.get_borders(), self._raw
            )
        return self._flags[index]

    def _is_whole(self, index: int, text: str) -> bool:
        """Whether the categories of a column are whole numbers; some are asked for, not all."""
        asked = self._asked.setdefault(index, set())
        if index in self._whole:
            return self._whole[index]
        if index in self._categorical and text not in asked and len(asked) < _MOST_ASKED:
            told = flags.are_whole(
                index, text, self.features.width or 0, self._as_text, self._model.get_borders(),
                self._raw,
            )  # fmt: skip
            if told is None:
                asked.add(text)
            else:
                self._whole[index] = told
        return self._whole.get(index, False)

    def _raw(self, rows: Any) -> Any:
        kind = _TYPES["raw"]
        return self._model.predict(self._pooled(rows), prediction_type=kind, thread_count=1)


def _kind(loss: str, predict: str | None) -> str:
    """CatBoost's own name of what is answered; the default is that of the class for the loss."""
    from runtimes.catboost import model_files

    if predict is not None:
        return _TYPES[predict]
    if loss in model_files.CLASSIFIERS:
        return "Class"
    if loss in _COUNTS:
        return "Exponent"
    return "RMSEWithUncertainty" if loss == "RMSEWithUncertainty" else "RawFormulaVal"


class CatBoost(one_file.OneFile):
    """CatBoost's Python package."""

    name, title = "catboost", "CatBoost"
    files = ("*.cbm",)
    data_alone = True
    peak = PEAK

    def preload(self) -> None:
        """Import it and load a small model; asking that would start a thread, which stays."""
        import catboost

        from runtimes.catboost import model_files

        catboost.CatBoost().load_model(blob=model_files.small())

    def samples(self, folder: Path) -> Sequence[Path]:
        """The one that was preloaded; asking it starts a thread, in that process."""
        from runtimes.catboost import model_files

        return [self.sample(folder, "model.cbm", model_files.small())]

    def load(self, folder: Path, threads: int) -> Model:
        """Load the file, where there is room for it: CatBoost ends its process without."""
        import catboost

        from runtimes.catboost import model_files

        del threads
        path, chosen = model_files.find(folder), model_files.options(folder)
        data = path.read_bytes()
        header = model_files.header(data, path.name)
        model_files.check_prediction(header, chosen)
        _reserve(PEAK * len(data))
        try:
            model = catboost.CatBoost().load_model(blob=data)
        except catboost.CatBoostError as error:
            if ran_out_of_memory(str(error)):
                raise MemoryError(_short(error)) from None
            what = f"CatBoost does not read it: {_short(error)}"
            raise ModelError(
                what, path.name, "save it again: model.save_model('model.cbm')"
            ) from None
        return Model(path.name, model, header, chosen)


def _reserve(size: int) -> None:
    """Raise MemoryError where so many bytes cannot be had, as CatBoost would end the process."""
    import numpy as np

    np.empty(max(size, 1), np.uint8)


def _short(error: Exception) -> str:
    """CatBoost's message without the place in its source."""
    text = " ".join(str(error).split())
    place, mark, said = text.partition(": ")
    return (said if mark and "/" in place else text)[:300]


def _translated(error: Exception) -> Exception:
    text = _short(error)
    return MemoryError(text) if ran_out_of_memory(text) else EngineError(text)


RUNTIME = CatBoost()
