"""Labels of models that are asked with tensors."""

from __future__ import annotations

import numpy as np
import pytest
from runtimes.base import TensorModel
from runtimes.values import ModelError


@pytest.mark.parametrize(
    ("labels", "shape", "lines"),
    [(None, (1, 9), None), (("a", "b"), (1, 2), None), (("a",), (5,), None),
     (("a", "b"), (1, 3), "2 lines, the model answers 3"),
     (("a", "b"), (1, 2, 2), "2 lines, the model answers 4")],
)  # fmt: skip
def test_there_are_as_many_as_classes(labels, shape, lines):
    model = TensorModel()
    model.labels = labels
    if lines is None:
        model.check([np.zeros(shape)])
        return
    with pytest.raises(ModelError, match=lines):
        model.check([np.zeros(shape)])
