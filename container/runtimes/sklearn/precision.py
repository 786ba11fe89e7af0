"""In which precision a model reads numbers that came as text.

AWS's container makes float32 of them, and its clients know the last digits that come of it. A model
that compares numbers for equality, or with one that it saw in training, answers something else
then, and so does one that subtracts large numbers. So most models are asked twice: AWS's answer is
given where it is the model's own, which is that to the numbers as they were sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Callable  # Python 3.8 has no other Callable for aliases

Transform = Callable[[Any], Any]

_NEAR = 1e-6  # relative
_NONE = 1e-7  # of the largest number of a row's answer: what is left where larger ones cancel out
# what makes float32 of its columns by itself
_ROUGH = {
    f"{which}{kind}" for which in ("DecisionTree", "ExtraTree", "RandomForest", "ExtraTrees",
                                   "GradientBoosting") for kind in ("Classifier", "Regressor")
}  # fmt: skip
# whose trees compare with numbers of the training, so that float32 answers the same or wrong
_EXACT = {"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"}


class Reading(Enum):
    """The precision: as AWS's container, as sent, or both compared."""

    ROUGH = "float32"
    EXACT = "float64"
    BOTH = "both"


def of(estimator: Any) -> Reading:
    """How an estimator is to be asked."""
    kind = type(estimator).__name__
    if kind in _ROUGH:
        return Reading.ROUGH
    return Reading.EXACT if kind in _EXACT else Reading.BOTH


class BothAtOnce:
    """A pipeline that ends in trees, asked with rows in float32 and with the same as sent.

    The steps before are asked twice, but the trees once with all rows: they make float32 of what
    they get, and answer each row by itself.
    """

    def __init__(self, steps: Sequence[Transform], trees: Transform) -> None:
        self._steps, self._trees = steps, trees
        self._fits = True

    @classmethod
    def of(cls, estimator: Any, method: str) -> BothAtOnce | None:
        """The pipeline, whose `method` answers; None for other estimators."""
        kind = type(estimator)
        if f"{kind.__module__}.{kind.__name__}" != "sklearn.pipeline.Pipeline":
            return None
        *before, (_, last) = estimator.steps
        if not before or of(last) is not Reading.ROUGH:
            return None
        # "passthrough" and None have none
        steps = [one.transform for _, one in before if hasattr(one, "transform")]
        return cls(steps, getattr(last, method))

    def ask(self, rough: Any, exact: Any) -> Any:
        """What it answers to the rows of one, then to those of the other.

        None where they are to be asked one after the other: one is refused, or the trees get
        frames, sparse rows or whole numbers.
        """
        import numpy as np

        if not self._fits:
            return None
        try:  # with copies: a step may write into what it is given (copy=False)
            made = [self._through(rows.copy()) for rows in (rough, exact)]
            self._fits = all(type(rows) is np.ndarray and rows.dtype.kind == "f" for rows in made)
            if not self._fits:
                return None
            rows = np.concatenate([one.astype("float32", copy=False) for one in made])
            return self._trees(rows)
        except (ValueError, TypeError):
            return None

    def _through(self, rows: Any) -> Any:
        for step in self._steps:
            rows = step(rows)
        return rows


def halves(answer: Any, count: int) -> tuple[Any, Any]:
    """Part an answer, an array or several by name, into that of the first rows and the others'."""
    if not isinstance(answer, Mapping):
        return answer[:count], answer[count:]
    parted = {name: halves(one, count) for name, one in answer.items()}
    first, other = ({name: pair[index] for name, pair in parted.items()} for index in (0, 1))
    return first, other


def alike(rough: Any, exact: Any, *, apart: bool = False) -> bool:
    """Whether two answers are the same but for last digits; each an array, or several by name.

    Each row is looked at by itself. `apart`: so is each number of it, as what is predicted may
    differ in size; those of other answers (probabilities, distances) belong together.
    """
    import numpy as np

    if isinstance(exact, Mapping):
        return all(alike(rough[name], exact[name], apart=apart) for name in exact)
    if rough.shape != exact.shape or exact.dtype.kind != "f" or rough.dtype.kind != "f":
        return bool(np.array_equal(rough, exact))
    size = np.where(np.isfinite(exact), np.abs(exact), 0.0)
    others = () if apart else tuple(range(1, size.ndim))
    room = _NEAR * size + _NONE * np.max(size, axis=others, keepdims=True, initial=0.0)
    with np.errstate(invalid="ignore"):
        near = np.abs(rough - exact) <= room
    return bool((near | (rough == exact) | (np.isnan(rough) & np.isnan(exact))).all())
