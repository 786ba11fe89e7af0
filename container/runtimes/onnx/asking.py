"""Models as they are asked: one with a table's rows, others with tensors or a picture.

A model of one input of (rows, columns) of floating-point numbers whose answers are one for each
row takes tables: what trees, pipelines and small networks are exported as.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Callable, List  # Python 3.8 has no others for aliases

from runtimes import apart, base
from runtimes.onnx import likelihood
from runtimes.onnx.graph import Value
from runtimes.onnx.model_files import ModelFiles
from runtimes.tables import Features, Table, may_be_rounded
from runtimes.values import ANY, TEXT, EngineError, Input, Pixels, RequestError

Run = Callable[[Any], List[Any]]
_WIDTHS = (4, 1, 8, 16, 32, 64)  # of rows that may have any number of columns, tried in turn


class Tables(base.TableModel):
    """A model of tables."""

    def __init__(
        self, files: ModelFiles, run: Run, release: Callable[[], bool], *, missing: bool
    ) -> None:
        one = files.inputs[0]
        rows, columns = (*(one.shape or ()), None, None)[:2]
        self.name, self.refuses_values = files.path.stem, _refuses(files)
        self._input, self._run, self._release = one.name, run, release
        self._outputs = [value.name for value in files.outputs]
        self._axes = [len(value.shape or (None,)) for value in files.outputs]
        self._rows = rows if isinstance(rows, int) else None
        count = columns if isinstance(columns, int) else None
        dtype = one.dtype or "float32"
        self.features = Features(count=count, dtype=dtype, missing_allowed=missing, title=one.name)

    def predict(self, table: Table, threads: int) -> Any:
        """Answer each row: what the one output says, or by name what all of them do."""
        del threads  # a session has as many as it was made with
        feeds = self._parts(table)
        asked = sum(len(next(iter(feed.values()))) for feed in feeds)
        made = [_joined(outputs) for outputs in zip(*map(self._asked, feeds))]  # noqa: B905 - 3.8
        if any(not one.ndim or len(one) != asked for one in made):
            raise EngineError(f"the model does not answer {table.rows} rows one by one")
        made = [one[: table.rows] for one in made]
        return made[0] if len(made) == 1 else dict(zip(self._outputs, made))  # noqa: B905 - 3.8

    def tells_rows_apart(self) -> bool:
        """Whether some rows of zeros have an answer each; True, too, where it takes no zeros.

        Of a fixed number of rows, which is filled up, whether that of one depends on no other.
        """
        run: Run = lambda feed: [_joined([one]) for one in self._run(feed)]  # noqa: E731
        for feeds in () if self._rows == 1 else self._zeros():
            try:
                each = all(_each_of(run(feed), feed) for feed in feeds)
            except (EngineError, ValueError):
                continue
            return each and (self._rows is None or apart.independent(run, feeds[0]))
        return True

    def _zeros(self) -> Iterator[Sequence[Mapping[str, Any]]]:
        """Rows of zeros as the model is fed with, of several widths where it may be any."""
        width, dtype = self.features.width, self.features.dtype
        for one in _WIDTHS if width is None else (width,):
            yield [{self._input: rows} for rows in apart.rows_of_zeros(self._rows, one, dtype)]

    def _parts(self, table: Table) -> Sequence[Mapping[str, Any]]:
        """What the model is fed with, as many rows at once as it takes."""
        feed = {self._input: table.array}
        return [feed] if self._rows is None else _filled(feed, self._rows)

    def _asked(self, feed: Mapping[str, Any]) -> list[Any]:
        try:
            outputs = self._run(feed)
        except ValueError as error:
            raise RequestError(f"the model does not take these rows: {error}") from None
        if len(next(iter(feed.values()))) > 1:
            return outputs
        return [_with_axis(*one) for one in zip(outputs, self._axes)]  # noqa: B905 - Python 3.8

    def release(self) -> bool:
        """Keep of the weights what is in a file."""
        return self._release()


class Columns(Tables):
    """A model of tables with an input for each column, or for texts."""

    def __init__(
        self, files: ModelFiles, run: Run, release: Callable[[], bool], *, missing: bool
    ) -> None:
        super().__init__(files, run, release, missing=missing)
        self._inputs = files.inputs
        names = [value.name for value in files.inputs]
        count = (files.inputs[0].shape or (0, 0))[1:] or (1,)
        if len(names) > 1:
            texts = [value.name for value in files.inputs if value.dtype == TEXT]
            self.features = Features(
                names=names, dtype="float64", categorical=texts, missing_allowed=missing
            )
        else:
            self.features = Features(
                count=count[0],
                dtype="float64",
                categorical=range(count[0]),
                missing_allowed=False,
                title=names[0],
            )

    def _parts(self, table: Table) -> Sequence[Mapping[str, Any]]:
        import numpy as np

        held = table.columns
        columns = list(table.array.T) if held is None else list(held.values())
        if len(self._inputs) == 1:
            texts = [_texts(column, f"column {n + 1}") for n, column in enumerate(columns)]
            feeds = [{self._inputs[0].name: _of_shape(np.stack(texts, 1), self._inputs[0])}]
        else:
            pairs = zip(self._inputs, columns)  # noqa: B905 - Python 3.8
            feeds = [{v.name: _of_shape(_cast(column, v)[:, None], v) for v, column in pairs}]
        rows = self._rows
        if rows is None:
            return feeds
        return _filled(feeds[0], rows)

    def _zeros(self) -> Iterator[Sequence[Mapping[str, Any]]]:
        """Columns of zeros, where there are no texts: else `predict` sees what comes out."""
        values = self._inputs
        if not any(value.dtype == TEXT for value in values):
            columns = [apart.rows_of_zeros(self._rows, 1, value.dtype) for value in values]
            pairs = [zip(values, column) for column in zip(*columns)]  # noqa: B905 - Python 3.8
            yield [{value.name: _of_shape(one, value) for value, one in pair} for pair in pairs]


def _with_axis(answer: Any, axes: int) -> Any:
    """The answer to one row, which has so many axes for more; Squeeze takes the first of them."""
    squeezed = not isinstance(answer, list) and answer.ndim < axes and answer.shape[:1] != (1,)
    return answer[None] if squeezed else answer


def _each_of(outputs: Sequence[Any], feed: Mapping[str, Any]) -> bool:
    """Whether each output has as many rows as what goes in."""
    rows = len(next(iter(feed.values())))
    return all(one.shape[:1] == (rows,) for one in outputs)


def _refuses(files: ModelFiles) -> bool:
    """Whether there may be operators that fail with values that they do not know: encoders."""
    return "ai.onnx.ml" in files.proto.opsets


def _of_shape(table: Any, value: Value) -> Any:
    """A column as its input takes it: of (rows, 1), or of (rows)."""
    return table[:, 0] if len(value.shape or ()) == 1 else table


def _cast(column: Any, value: Value) -> Any:
    """A column in the type of its input, which must be able to hold it; raises RequestError."""
    import numpy as np

    if value.dtype == TEXT:
        return _texts(column, value.name)
    with np.errstate(invalid="ignore", over="ignore"):
        ready = column.astype(value.dtype)
    if ready.dtype.kind == "f":
        if (np.isinf(ready) & np.isfinite(column)).any():
            what = f"a number that is beyond {value.dtype}"
            raise RequestError(f"the column {value.name!r} holds {what}")
        return ready
    if not np.array_equal(ready, column):
        what = f"a number that is not a valid {value.dtype}"
        raise RequestError(f"the column {value.name!r} holds {what}")
    if may_be_rounded(column).any():
        raise RequestError(f"the column {value.name!r} holds a number too large to be read exactly")
    return ready


def _texts(column: Any, name: str) -> Any:
    """Texts of what was sent; a number is its text. Raises RequestError."""
    import numpy as np

    if any(one is None for one in column):
        raise RequestError(f"a value of {name!r} is missing: send a text")
    made: Any = np.array([str(one) for one in column.tolist()], object)
    return made


def _filled(feed: Mapping[str, Any], size: int) -> list[dict[str, Any]]:
    """The rows as many at once as the model takes; the last ones filled up with the first."""
    import numpy as np

    count = len(next(iter(feed.values())))
    whole = {
        name: np.concatenate([array, np.repeat(array[:1], -count % size, 0)])
        for name, array in feed.items()
    }
    starts = range(0, count, size)
    return [{n: array[start : start + size] for n, array in whole.items()} for start in starts]


def _joined(parts: Sequence[Any]) -> Any:
    """One array of the answers to all parts; of dictionaries their values, in their order."""
    import numpy as np

    arrays = [_columns(part) if isinstance(part, list) else part for part in parts]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _columns(rows: Sequence[Mapping[Any, Any]]) -> Any:
    """An array of (rows, classes) of what a ZipMap answers: a dictionary a row."""
    import numpy as np

    keys = list(rows[0]) if rows else []
    if any(list(row) != keys for row in rows):
        raise EngineError("the model answers other classes from row to row")
    return np.asarray([list(row.values()) for row in rows])


class Tensors(base.TensorModel):
    """A model of tensors, or of pictures."""

    def __init__(self, files: ModelFiles, run: Run, release: Callable[[], bool]) -> None:
        self.name, self.refuses_values = files.path.stem, _refuses(files)
        self.labels = files.labels
        self._run, self._release = run, release
        self.batch, self.inputs = asked(files)
        self.apart = self._apart(files)
        self.likelihood = likelihood.of(files.proto.graph, files.outputs[0].name)

    def _apart(self, files: ModelFiles) -> bool | None:
        """Whether the outputs' shapes say that each item has an answer of its own."""
        if not self.inputs[0].batched:
            return False
        if self.batch is not None:
            return None
        rows = (files.inputs[0].shape or (None,))[0]
        shapes = [value.shape for value in files.outputs if value.shape is not None]
        firsts = [shape[0] if shape else 0 for shape in shapes]
        if any(isinstance(first, int) for first in firsts):
            return False
        return True if isinstance(rows, str) and all(first == rows for first in firsts) else None

    def run(self, feed: Mapping[str, Any], threads: int) -> list[Any]:
        """Compute the outputs."""
        del threads  # a session has as many as it was made with
        import numpy as np

        try:
            outputs = self._run(feed)
        except ValueError as error:
            raise RequestError(f"the model does not take this: {error}") from None
        return [_columns(one) if isinstance(one, list) else np.asarray(one) for one in outputs]

    def release(self) -> bool:
        """Keep of the weights what is in a file."""
        return self._release()


def asked(files: ModelFiles) -> tuple[int | None, tuple[Input, ...]]:
    """How many items a model computes at once (None: any number), and its inputs."""
    values = files.inputs
    firsts = {value.shape[0] if value.shape else 0 for value in values}
    batched = len(firsts) == 1 and firsts != {0}
    first = firsts.pop()
    pixels = files.pixels
    made = tuple(_input(value, batched, first, pixels) for value in values)
    return (first if isinstance(first, int) else None) if batched else 1, made


def _input(value: Value, batched: bool, first: Any, pixels: Pixels | None) -> Input:
    sizes = [size if isinstance(size, int) else ANY for size in value.shape or ()]
    if batched and not isinstance(first, int):
        sizes[0] = 1
    shape = tuple(sizes)
    # numbers of a picture are bytes; what else they are to become nobody knows who was not told
    told = pixels if pixels is not None else Pixels() if value.dtype == "uint8" else None
    if told is not None and len(shape) == 4:
        last = shape[1] not in (1, 3) and shape[3] in (1, 3)
        told = replace(told, last=last)
    return Input(value.name, shape, value.dtype, told, batched)
