"""Whether the first row of a CSV has its columns' names; one that may be either is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from serving.handler.payloads import PayloadError, brief
from serving.handler.tables import columns
from serving.handler.tables.values import Features

_TOLD = {"present": True, "absent": False}
_SHOWN = 8


def told(parameter: str | None) -> bool | None:
    """What ``header=`` of the content type says; None: nothing. Raises PayloadError."""
    if parameter is None:
        return None
    if parameter.lower() not in _TOLD:
        raise PayloadError(f"header={brief(parameter)} is neither present nor absent")
    return _TOLD[parameter.lower()]


def found(head: Sequence[str], rest: Iterable[Sequence[str]], features: Features) -> bool:
    """Whether the fields of the first row, `head`, are names; `rest` are the rows after it.

    Raises PayloadError where they may as well be values.
    """
    if not _may_be_names(head, features):
        return False
    fields = [field.strip() for field in head]
    numbers = [_is_number(field) for field in fields]
    if all(numbers):
        _refuse_either(fields, rest, features)
        return False
    names = features.names
    if names is None:  # one column may be called as the model calls its input
        return features.width == 1 and fields == [features.title] and any(True for _ in rest)
    sent = set(features.spelled(named(head, features)))
    known = len(sent & set(names))
    if any(numbers):  # names may look like numbers: age,2019,2020
        return known == len(sent)
    return known > 0 and (not features.has_text or known >= len(sent) / 2)


def called(fields: Sequence[str], features: Features) -> list[str] | None:
    """The model's columns that a header names; None: they go by position.

    A model without names knows its columns by number.
    """
    if features.names is not None:
        return named(fields, features)
    numbers = [field.strip() for field in fields]
    return numbers if sorted(numbers) == sorted(map(str, range(len(numbers)))) else None


def missed(head: Sequence[str], features: Features) -> str:
    """What to say beside an error of the first row, where that may have been meant as a header."""
    if any(_is_number(field.strip()) for field in head):
        return ""
    if features.names is None:
        return "; where row 1 is a header, send it as text/csv; header=present"
    return f"; as a header, row 1 does not have the model's names: {columns.listed(features.names)}"


def named(fields: Sequence[str], features: Features) -> list[str]:
    """What a header's fields call; names may have blanks around them, as files of CSV may."""
    names = frozenset(features.names or ())
    meant = {name.strip(): name for name in names}
    if len(meant) < len(names):
        meant = {}
    spelled = features.spelled(fields)  # before blanks around a name are taken off
    pairs = zip(fields, spelled)  # noqa: B905 - Python 3.8
    return [own if own in names else meant.get(one.strip(), one.strip()) for one, own in pairs]


def _may_be_names(head: Sequence[str], features: Features) -> bool:
    """Whether the first and the last field leave it open: most rows are values, and many are wide.

    A number is only a name where it is one of the model's, or the index of its column.
    """
    first, last = head[0].strip(), head[-1].strip()
    if not _is_number(first) or (first == "0" and last == str(len(head) - 1)):
        return True
    return any(first == name.strip() for name in features.names or ())


def _refuse_either(fields: list[str], rest: Iterable[Sequence[str]], features: Features) -> None:
    """Raise PayloadError for a row of numbers that may be names, unless it is alone.

    Those are the model's own names, or 0, 1, 2, ... as pandas names the columns of an array.
    """
    own = sorted(fields) == sorted(features.names or ())
    if not own and not _are_indices(fields):
        return
    others = list(rest)
    if not others or (not own and _are_flags(fields, others)):
        return
    shown = ",".join(map(brief, fields[:_SHOWN])) + (",..." if len(fields) > _SHOWN else "")
    raise PayloadError(
        f"row 1, {shown}, may be the names of the columns or values: send it as "
        "text/csv; header=present, or as text/csv; header=absent"
    )


def _are_indices(fields: Sequence[str]) -> bool:
    return list(fields) == [str(index) for index in range(len(fields))]


def _are_flags(fields: Sequence[str], others: Iterable[Sequence[str]]) -> bool:
    """Whether 0, or 0 and 1, begin rows as they often do: any numbers, or flags."""
    if len(fields) > 2:
        return False
    return len(fields) == 1 or all({field.strip() for field in row} <= {"0", "1"} for row in others)


def _is_number(field: str) -> bool:
    try:
        columns.number(field)
    except ValueError:
        return not field
    return True
