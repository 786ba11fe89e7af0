"""Arrays of a network to answers: the content type, likely classes, and each format's bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from runtimes import media_types
from runtimes.values import Likelihood

from serving.handler.codecs import Feed
from serving.handler.payloads import JSON, NPY
from serving.handler.tables import writing
from serving.handler.tables.kinds import CSV, JSONLINES

TOP = 5


def accepted(
    header: str | None,
    default: str | None = None,
    labels: Sequence[str] | None = None,
    outputs: Sequence[Any] | None = None,
) -> media_types.MediaType:
    """Choose the answer's content type by the Accept header (RFC 9110, 12.5.1).

    By the `outputs`, too, once they are known. Raises PayloadError 406 when none of the types is
    among those that can be sent.
    """
    kinds: Sequence[str] = writing.OFFERED if outputs is None else writing.holding(outputs)
    if labels is not None:
        kinds = (JSON, NPY)
    several = outputs is not None and len(outputs) > 1 and labels is None
    what = f" {len(outputs or ())} outputs" if several else ""
    return writing.accepted(header, default, kinds, what)


def top_classes(likely: Any, labels: Sequence[str]) -> list[str]:
    """Format the five likeliest classes: ``probability=0.294877, class=n02326432 hare``."""
    best = np.argsort(-likely, kind="stable")[:TOP]
    return [f"probability={likely[i]:f}, class={labels[i]}" for i in best]


def probabilities(numbers: Any, likelihood: Likelihood) -> Any:
    """Make probabilities of what a model gave for one item, float64 of (labels,).

    A score that has no other beside it stays as it is: softmax would make 1 of any.
    """
    row = np.asarray(numbers, np.float64).ravel()
    if likelihood is Likelihood.PROBABILITY or (likelihood is Likelihood.SCORE and len(row) == 1):
        return row
    with np.errstate(invalid="ignore", over="ignore"):  # what comes of infinity is refused
        if likelihood is Likelihood.SCORE:
            powers = np.exp(row - row.max())
            return powers / powers.sum()
        return np.power(likelihood.base, row)


def _check_finite(arrays: Sequence[Any], able: Sequence[str]) -> None:
    numbers = [np.asarray(array) for array in arrays if np.asarray(array).dtype.kind in "fc"]
    if not all(np.isfinite(array).all() for array in numbers):
        raise writing.infinite(able)


def answer(
    outputs: Sequence[Any],
    feed: Feed,
    kind: str,
    labels: Sequence[str] | None,
    likelihood: Likelihood = Likelihood.SCORE,
    *,
    header: bool = False,
) -> bytes:
    """Encode the outputs of one request, each of (items, ...), as `kind`.

    JSON: five lines of the first output where there are labels, else the output as nested lists,
    a list of them when the model has several. NPY: the first output as it is. CSV: the outputs
    side by side, a row a line, with their numbers as a `header`; JSON Lines alike. Raises
    PayloadError 500 where the format cannot hold what was answered.
    """
    outputs = [np.asarray(o) for o in outputs]
    rows = [o if feed.batched else o[0] for o in outputs]
    if kind == NPY:
        return writing.npy(np.asarray(rows[0]))
    if kind == CSV:
        return writing.table(outputs, header=header)
    if labels is not None:
        likely = [probabilities(row, likelihood) for row in outputs[0]]
        _check_finite(likely, [NPY])
        lines = [top_classes(row, labels) for row in likely]
        return json.dumps(lines if feed.batched else lines[0]).encode()
    _check_finite(outputs, writing.holding(outputs))
    if kind == JSONLINES:
        items = [o.tolist() for o in outputs]
        return writing.lines(items[0] if len(items) == 1 else list(zip(*items)))  # noqa: B905
    values = [np.asarray(o).tolist() for o in rows]
    return json.dumps(values[0] if len(values) == 1 else values, default=writing.plain).encode()
