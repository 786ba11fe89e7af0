"""Are the trees of a LightGBM file sound? LightGBM does not look: damaged ones end its process.

All that its reader and its walk through a tree rely on is checked: how many numbers there are,
which nodes follow which, and which columns and sets of categories they name. Numbers are compared
as they are written, in sets, which takes a fraction of reading them. Pure, and linear.

What answers do not need is left out of what LightGBM is then given: half of the file, the
parameters, past whose ends it reads, and the sizes of trees, by which it reads them in threads that
end the process for any error.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence

# relative: mmectl/frameworks/lightgbm links here, and beside it to these values
from ..values import ModelError  # noqa: TID252
from .model_files import END, Header

_NEEDED = (
    *(b"num_leaves", b"num_cat", b"split_feature", b"threshold", b"decision_type"),
    *(b"left_child", b"right_child", b"leaf_value", b"cat_boundaries", b"cat_threshold"),
    *(b"is_linear", b"leaf_const", b"num_features", b"leaf_features", b"leaf_coeff", b"shrinkage"),
)
_KNOWN = frozenset(
    (
        *_NEEDED,
        *(b"split_gain", b"leaf_weight", b"leaf_count", b"internal_value", b"internal_weight"),
        b"internal_count",
    )
)
_DIGITS = b"0123456789 "
_NUMERICAL = frozenset((b"0", b"2", b"4", b"6", b"8", b"10"))  # decision_type of other nodes
_IS_CATEGORICAL = 1  # its bit
_MOST_LEAVES = 1 << 20
_FIX = "train it or copy it again: booster.save_model('model.txt')"


class _Damaged(Exception):
    """The text says what is wrong with a tree."""


def checked(data: bytes, header: Header, name: str) -> str:
    """Check the trees, and give what of the file answers need. Raises ModelError."""
    number = -1
    parts = [header.needed]
    try:
        for number, text in enumerate(_texts(data, header)):
            fields = _fields(text, number)
            _check(fields, header.features)
            parts.append(_written(fields, number))
        _check_number(number + 1, header.classes)
        return b"".join([*parts, END[1:], b"\n"]).decode()
    except _Damaged as error:
        raise ModelError(f"is damaged: tree {number}: {error}", name, _FIX) from None
    except (ValueError, KeyError) as error:
        what = f"is damaged: tree {number}: {type(error).__name__}: {error}"
        raise ModelError(what[:200], name, _FIX) from None


def _check_number(trees: int, classes: int) -> None:
    if trees % classes:
        raise _Damaged(f"there are {trees} of them for {classes} classes")


def _written(fields: Mapping[bytes, bytes], number: int) -> bytes:
    lines = [b"%s=%s\n" % (key, fields[key]) for key in _NEEDED if key in fields]
    return b"Tree=%d\n%s\n" % (number, b"".join(lines))


def _texts(data: bytes, header: Header) -> Iterator[bytes]:
    """Each tree's lines, as the header says where they are, or up to the next one's."""
    end = data.rfind(END) + 1
    if end <= 0:
        raise _Damaged("the end of the trees lacks, so the file is cut off")
    if header.sizes is None:
        yield from _marked(data[header.trees : end])
        return
    at = header.trees
    for size in header.sizes:
        if at + size > end:
            raise _Damaged("it goes on after the end of the trees: the file is cut off")
        yield data[at : at + size]
        at += size
    if at != end:
        raise _Damaged(f"{end - at} bytes follow the last tree")


def _marked(text: bytes) -> Iterator[bytes]:
    parts = text.split(b"\nTree=")
    if text:
        yield parts[0] + b"\n"
    for part in parts[1:]:
        yield b"Tree=" + part + b"\n"


def _fields(text: bytes, number: int) -> dict[bytes, bytes]:
    """A tree's lines by key, up to the empty one. Raises _Damaged."""
    first, _, rest = text.partition(b"\n")
    if first != b"Tree=%d" % number:
        raise _Damaged("it does not begin where the header says")
    lines = rest.rstrip(b"\n").split(b"\n")
    if not rest.endswith(b"\n\n"):
        raise _Damaged("its lines do not end as LightGBM writes them")
    fields = {}
    for line in lines:
        key, mark, value = line.partition(b"=")
        if not mark or key in fields or key not in _KNOWN or b"\0" in value or b"\r" in value:
            raise _Damaged(f"the line {line[:40].decode('latin-1')!r} is not LightGBM's")
        fields[key] = value
    return fields


def _check(fields: Mapping[bytes, bytes], features: int) -> None:
    leaves, sets = _count(fields[b"num_leaves"]), _count(fields[b"num_cat"])
    if not 1 <= leaves <= _MOST_LEAVES:
        raise _Damaged(f"it has {leaves} leaves")
    _tokens(fields, b"leaf_value", leaves)
    _tokens(fields, b"shrinkage", 1)
    if _count(fields.get(b"is_linear", b"0")):
        _check_linear(fields, leaves, features)
    if leaves > 1:
        _check_nodes(fields, leaves, features)
        _check_sets(fields, leaves - 1, sets)
    elif sets:
        raise _Damaged("it has sets of categories and no nodes")


def _check_nodes(fields: Mapping[bytes, bytes], leaves: int, features: int) -> None:
    nodes = leaves - 1
    after = [*_tokens(fields, b"left_child", nodes), *_tokens(fields, b"right_child", nodes)]
    # each leaf (-1, -2, ...) and each node but the root follows exactly one node: no way is endless
    if set(after) != _follow(leaves):
        raise _Damaged("its nodes do not make a tree")
    if not _columns(features).issuperset(_tokens(fields, b"split_feature", nodes)):
        raise _Damaged(f"it asks for a column beyond the {features} there are")
    _tokens(fields, b"threshold", nodes)


@functools.lru_cache(maxsize=64)
def _follow(leaves: int) -> frozenset[bytes]:
    """What follows the nodes of a tree with so many leaves, as it is written."""
    return frozenset(b"%d" % one for one in (*range(-leaves, 0), *range(1, leaves - 1)))


@functools.lru_cache(maxsize=4)
def _columns(features: int) -> frozenset[bytes]:
    return frozenset(b"%d" % one for one in range(features))


def _check_sets(fields: Mapping[bytes, bytes], nodes: int, sets: int) -> None:
    """The sets of categories: bits, of which a node of categories names those of one set."""
    kinds = _tokens(fields, b"decision_type", nodes) if b"decision_type" in fields else []
    if not sets:
        if not _NUMERICAL.issuperset(kinds):
            raise _Damaged("it asks for categories and has none")
        return
    bounds = [_count(one) for one in _tokens(fields, b"cat_boundaries", sets + 1)]
    if bounds[0] != 0 or bounds != sorted(bounds):
        raise _Damaged("its sets of categories overlap")
    words = _tokens(fields, b"cat_threshold", bounds[-1])
    if any(_count(one) >= 1 << 32 for one in words):
        raise _Damaged("its sets of categories are no bits")
    named = [
        float(threshold)
        for threshold, kind in zip(fields[b"threshold"].split(b" "), kinds)  # noqa: B905
        if _count(kind) & _IS_CATEGORICAL
    ]
    if any(not 0 <= one < sets for one in named):
        raise _Damaged(f"it asks for a set of categories beyond the {sets} there are")


def _check_linear(fields: Mapping[bytes, bytes], leaves: int, features: int) -> None:
    _tokens(fields, b"leaf_const", leaves)
    used = sum(_count(one) for one in _tokens(fields, b"num_features", leaves))
    asked, factors = fields[b"leaf_features"].split(), fields[b"leaf_coeff"].split()
    if len(asked) != used or len(factors) != used or not _columns(features).issuperset(asked):
        raise _Damaged(f"its leaves ask for a column beyond the {features} there are")


def _tokens(fields: Mapping[bytes, bytes], key: bytes, count: int) -> Sequence[bytes]:
    """The words of a line, of which there must be so many."""
    found = fields[key].split(b" ") if fields[key] else []
    if len(found) != count:
        raise _Damaged(f"{key.decode()} has {len(found)} numbers for {count}")
    return found


def _count(text: bytes) -> int:
    """A whole number as LightGBM's own reader takes it: it knows digits alone."""
    if text.translate(None, _DIGITS) or len(text) > 10:
        raise _Damaged(f"{text[:40].decode('latin-1')!r} is not a count")
    return int(text)
