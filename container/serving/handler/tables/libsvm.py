"""libsvm to tables: ``label index:value index:value``, a row a line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from serving.handler.payloads import PayloadError, brief
from serving.handler.tables import sparse
from serving.handler.tables.text import decoded
from serving.handler.tables.values import NUMBER, Dialect, Features, Table

_BLOCK = 1 << 16  # pairs that are strings at the same time
_LARGEST = 1 << 40  # an index beyond is refused before it is multiplied
_COMMENT = re.compile(r"#[^\n]*")
_QUERY = re.compile(r"(?<!\S)qid:\d+(?!\S)")
_LINE = re.compile(
    rb"\s*(?:[-+.\deE]+\s+)?\d+:[-+.\deE]+(?:\s+\d+:[-+.\deEnNaA]+)*[ \t]*(?:\r?\n|#|$)"
)


def looks_like(body: bytes) -> bool:
    """Whether the first line begins as one of libsvm, with a label or a feature."""
    return _LINE.match(body[:256].split(b"\n")[0]) is not None


def read(body: bytes, parameters: Mapping[str, str], features: Features, dialect: Dialect) -> Table:
    """Read libsvm; `indexing_mode`, or the features, say whether indices count from 0 or from 1.

    A row may begin with its label, which is left out, as are ``qid:`` and what follows ``#``. A
    blank line between others is a row that lists nothing. Raises PayloadError, also where nobody
    says what indices count from and they fit both.
    """
    told = _told(parameters.get("indexing_mode"), features)
    text = decoded(body, parameters.get("charset")).strip("\r\n")
    text = _QUERY.sub("", _COMMENT.sub("", text)) if "#" in text or "qid:" in text else text
    lines = text.split("\n")
    if "_" in text or not text.isascii():
        raise _first_wrong(lines)
    counts: list[int] = []
    blocks = [_pairs(tokens, lines) for tokens in _tokens(lines, counts)]
    at = np.concatenate([block[0] for block in blocks])
    values = np.concatenate([block[1] for block in blocks])
    if not len(at):
        raise PayloadError("no row has a feature: write index:value for each")
    first = _first(int(at.min()), int(at.max()), features) if told is None else told
    at -= first
    rows: Any = np.repeat(np.arange(len(counts)), counts)
    shape = (len(counts), int(at.max()) + 1)
    return sparse.table(rows, at, values, shape, features, dialect, first=first)


def _told(mode: str | None, features: Features) -> int | None:
    """What the first column's index is, where the request or the model says it."""
    if mode is None:
        return features.indexing
    if mode not in ("0", "1"):
        raise PayloadError(f"indexing_mode={brief(mode)} is neither 0 nor 1")
    return int(mode)


def _first(lowest: int, highest: int, features: Features) -> int:
    """What the first column's index is, by the indices that there are.

    XGBoost itself counts from 0, so that a model that it trained with a file of indices from 1 has
    a first column that nobody sends. AWS's container has read such requests in both ways.
    """
    if lowest and highest < (features.width or 0):
        which = f"{lowest} to {highest}" if lowest < highest else str(lowest)
        raise PayloadError(
            f"indices of {which} may count the {features.width} columns from 0 or from 1: send "
            "them as text/libsvm; indexing_mode=0, or as text/libsvm; indexing_mode=1"
        )
    return int(lowest > 0)


def _tokens(lines: Sequence[str], counts: list[int]) -> Iterator[list[str]]:
    """Give the pairs of some lines at a time; how many each line has is added to `counts`."""
    block: list[str] = []
    for line in lines:
        tokens = line.split()
        if tokens and ":" not in tokens[0]:
            _check_label(tokens[0], len(counts))
            del tokens[0]
        counts.append(len(tokens))
        block += tokens
        if len(block) > _BLOCK:
            yield block
            block = []
    yield block


def _check_label(token: str, row: int) -> None:
    try:
        float(token)
    except ValueError:
        raise PayloadError(
            f"row {row + 1}: {brief(token)!r} is neither a label nor index:value"
        ) from None


def _pairs(tokens: list[str], lines: Sequence[str]) -> tuple[Any, Any]:
    parts = ":".join(tokens).split(":") if tokens else []
    try:
        at = np.fromiter(map(int, parts[::2]), np.int64, len(tokens))
        values = np.fromiter(map(float, parts[1::2]), NUMBER, len(tokens))
    except (ValueError, OverflowError):
        raise _first_wrong(lines) from None
    if len(parts) != 2 * len(tokens) or (len(at) and not 0 <= at.min() <= at.max() < _LARGEST):
        raise _first_wrong(lines)
    return at, values


def _first_wrong(lines: Sequence[str]) -> PayloadError:
    for row, line in enumerate(lines):
        for position, token in enumerate(line.split()):
            if not _is_pair(token) and (position or ":" in token):
                return PayloadError(
                    f"row {row + 1}, item {position + 1}: {brief(token)!r} is not index:value"
                )
    return PayloadError("the body is not libsvm")


def _is_pair(token: str) -> bool:
    at, _, value = token.partition(":")
    try:
        float(value)
        return token.isascii() and "_" not in token and 0 <= int(at) < _LARGEST
    except ValueError:
        return False
