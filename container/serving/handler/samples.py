"""Requests of every kind that is served, to take at the start what reading and answering take."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image
from runtimes.base import TableModel
from runtimes.tables import Features, Table
from runtimes.values import Input

from serving.handler import answers, codecs, images
from serving.handler.tabular import Tabular
from serving.workers.cpu import Budget

INPUT = Input("data", (1, 3, 32, 32))
ORIENTATION = 0x0112  # of EXIF


def _picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 48)).save(stream, "JPEG")
    return stream.getvalue()


PICTURE = _picture()


def rehearse(resize: images.Resize | None) -> None:
    """Read and answer requests of all kinds, twice each, before any fork."""
    for body, kind in _requests():
        for _ in range(2):
            feed = codecs.parse(body, kind, [INPUT], resize)
            for accepted in (codecs.JSON, codecs.NPY):
                scores: Any = np.full((1, 5), 0.2, np.float32)
                answers.answer([scores], feed, accepted, [str(n) for n in range(5)])


class _Table(TableModel):
    """A model of a table that answers zeros; it rehearses what all of its kind need."""

    name, features = "rehearsal", Features(5)

    def predict(self, table: Table, threads: int) -> Any:
        """Zeros for each row."""
        del threads
        return np.zeros(table.rows, np.float32)


def rehearse_tables() -> None:
    """Read and answer requests for rows of the usual kinds, before any fork."""
    exchange = Tabular(_Table(), Budget(1))
    for body, kind in ((b"1,2,3,4,5\n1,,3,4,5", "text/csv"), (b"[[1, 2, 3, 4, 5]]", codecs.JSON)):
        for accepted in (codecs.JSON, "text/csv", codecs.NPY):
            exchange.respond(body, kind, accepted, None)


def _requests() -> Iterator[tuple[bytes, str]]:
    """Make a request of every kind that is served; photographs come with EXIF data."""
    item: Any = np.zeros(INPUT.shape[1:], np.float32)
    yield json.dumps(item.tolist()).encode(), codecs.JSON
    stream = io.BytesIO()
    np.save(stream, item)
    yield stream.getvalue(), codecs.NPY
    picture, exif = Image.new("RGB", (64, 48)), Image.Exif()
    exif[ORIENTATION] = 3
    for name in images.FORMATS:
        stream = io.BytesIO()
        picture.save(stream, name, **({"exif": exif} if name in ("JPEG", "PNG", "WEBP") else {}))
        yield stream.getvalue(), "image/any"
