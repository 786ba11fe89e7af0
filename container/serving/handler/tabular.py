"""Requests to a model of tables: read, computed, and answered in the model's dialect."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from runtimes.base import TableModel
from runtimes.values import EngineError, RequestError

from serving.handler import tables
from serving.handler.exchange import Exchange, within_room
from serving.handler.tables.writing import accepted
from serving.workers.cpu import Budget

DEFAULT_ACCEPT = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"


class Tabular(Exchange):
    """Answers requests to one model."""

    def __init__(self, model: TableModel, cpus: Budget) -> None:
        self.model = model
        self._cpus = cpus

    def warm_up(self) -> None:
        """Answer a row of zeros, or of ones, where the number of columns is known.

        A model may refuse such a row: that is seen with the first request. What is divided by may
        not be zero.
        """
        width = self.model.features.width
        if not width:
            return
        try:
            self._answer_row("0", width)
        except EngineError as error:
            try:
                self._answer_row("1", width)
            except EngineError:
                if not self.model.refuses_values:
                    raise error from None

    def _answer_row(self, number: str, width: int) -> None:
        row = ",".join([number] * width).encode()
        with contextlib.suppress(RequestError):
            for accept in ("text/csv", "application/json"):
                self.respond(row, "text/csv", accept, None)

    def respond(
        self, body: bytes, content_type: str | None, accept: str | None, context: Any
    ) -> tuple[str, bytes]:
        """Answer one request."""
        del context
        model, default = self.model, os.environ.get(DEFAULT_ACCEPT)
        accepted(accept, default)  # before anything is computed for nobody
        table = within_room(lambda: tables.read(body, content_type, model.features, model.dialect))
        prediction = model.predict(table, self._cpus.look())
        return tables.write(
            prediction, accept, model.dialect, model.outputs, single=table.single, default=default
        )
