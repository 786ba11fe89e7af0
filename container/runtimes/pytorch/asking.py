"""Programs as they are asked: one with a table's rows, others with tensors or a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from runtimes import apart, base, pictures
from runtimes.pytorch.model_files import ModelFiles, Value
from runtimes.pytorch.programs import Program
from runtimes.tables import Features, Table
from runtimes.values import ANY, EngineError, Input, ModelError, Pixels, RequestError


def is_rows(files: ModelFiles, values: Sequence[Value]) -> bool:
    """Whether a model takes a table: one input of (rows, columns) of floating-point numbers."""
    if files.labels is not None or files.pixels is not None or files.header.rows is False:
        return False
    one = values[0]
    return len(values) == 1 and len(one.shape) == 2 and one.dtype in ("float32", "float64")


class Tables(base.TableModel):
    """A model of tables."""

    def __init__(self, files: ModelFiles, value: Value, program: Program) -> None:
        self.name = files.path.stem
        self._program = program
        rows, columns = value.shape
        self._rows = None if rows == ANY else rows
        self.features = Features(
            count=None if columns == ANY else columns,
            dtype=value.dtype,
            missing_allowed=False,
            title=value.name,
        )

    def predict(self, table: Table, threads: int) -> Any:
        """Answer each row: what the one output says, or by name what all of them do."""
        import numpy as np

        parts = [self._asked(part, threads) for part in self._parts(table.array)]
        made = [np.concatenate(one)[: table.rows] for one in zip(*parts)]  # noqa: B905 - 3.8
        if any(len(one) != table.rows for one in made):
            raise EngineError(f"the model does not answer {table.rows} rows one by one")
        return made[0] if len(made) == 1 else dict(zip(self._program.names, made))  # noqa: B905

    def tells_rows_apart(self) -> bool:
        """Whether some rows of zeros have an answer each; True, too, where it takes no zeros.

        Of a fixed number of rows, which is filled up, whether that of one depends on no other.
        """
        width = self.features.width
        if width is None or self._rows == 1:
            return True
        zeros = apart.rows_of_zeros(self._rows, width, self.features.dtype)
        run = lambda feed: self._asked(feed["x"], 1)  # noqa: E731
        try:
            for rows in zeros:
                self._asked(rows, 1)
            return self._rows is None or apart.independent(run, {"x": zeros[0]})
        except RequestError:
            return True
        except EngineError:
            return False

    def _parts(self, array: Any) -> list[Any]:
        """As many rows at once as the model takes; the last ones filled up with the first."""
        import numpy as np

        if self._rows is None:
            return [array]
        whole = np.concatenate([array, np.repeat(array[:1], -len(array) % self._rows, 0)])
        return [whole[n : n + self._rows] for n in range(0, len(array), self._rows)]

    def _asked(self, array: Any, threads: int) -> list[Any]:
        try:
            outputs = self._program.run([array], threads)
        except ValueError as error:
            raise RequestError(f"the model does not take these rows: {error}") from None
        if len(array) == 1:  # whose axis a squeeze() takes off
            outputs = [one if one.shape[:1] == (1,) else one[None] for one in outputs]
        if any(not one.ndim or len(one) != len(array) for one in outputs):
            raise EngineError(f"the model does not answer {len(array)} rows one by one")
        return outputs


class Tensors(base.TensorModel):
    """A model of tensors, or of pictures."""

    def __init__(self, files: ModelFiles, values: Sequence[Value], program: Program) -> None:
        self.name = files.path.stem
        self.labels = files.labels
        self._program = program
        self.batch, self.inputs = asked(values, files.pixels)
        if files.pixels is not None and not _takes(self.inputs, files.pixels):
            what = 'says "image", and the model takes no picture of so many channels and one size'
            raise ModelError(what, "model.json", 'correct "image", or say "inputs"')
        if files.pixels is not None:
            pictures.check_type(files.pixels, self.inputs[0].dtype)
        batched = self.inputs[0].batched
        self.apart = (files.header.rows if self.batch is None else None) if batched else False

    def run(self, feed: Mapping[str, Any], threads: int) -> list[Any]:
        """Compute the outputs."""
        try:
            return self._program.run([feed[one.name] for one in self.inputs], threads)
        except ValueError as error:
            raise RequestError(f"the model does not take this: {error}") from None


def asked(values: Sequence[Value], pixels: Pixels | None) -> tuple[int | None, tuple[Input, ...]]:
    """How many items a model computes at once (None: any number), and its inputs."""
    firsts = {one.shape[0] if one.shape else 0 for one in values}
    batched = len(firsts) == 1 and firsts != {0}
    first = firsts.pop()
    made = tuple(_input(one, pixels, batched=batched) for one in values)
    return (None if first == ANY else first) if batched else 1, made


def _input(value: Value, pixels: Pixels | None, *, batched: bool) -> Input:
    sizes = list(value.shape)
    if batched and sizes[0] == ANY:
        sizes[0] = 1
    told = pixels if pixels is not None else Pixels() if value.dtype == "uint8" else None
    if told is not None and len(sizes) == 4:
        told = replace(told, last=sizes[1] not in (1, 3) and sizes[3] in (1, 3))
    return Input(value.name, tuple(sizes), value.dtype, told, batched)


def _takes(inputs: Sequence[Input], pixels: Pixels) -> bool:
    shape = inputs[0].shape if len(inputs) == 1 else ()
    if len(shape) != 4 or ANY in shape:
        return False
    channels = shape[1] if shape[1] in (1, 3) else shape[3]
    return channels in (1, 3) and all(len(n) in (1, channels) for n in (pixels.mean, pixels.std))
