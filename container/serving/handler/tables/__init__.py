"""Payloads of rows and columns: requests to tables, predictions to answers; no framework needed.

table = read(body, content_type, features, dialect)
kind, body = write(prediction, accept, dialect, names, single=table.single)
"""

from serving.handler.tables.reading import read
from serving.handler.tables.values import Dialect, Features, Table
from serving.handler.tables.writing import write

__all__ = ["Dialect", "Features", "Table", "read", "write"]
