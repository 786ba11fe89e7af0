"""The part of thousands of models that a page shows."""

from __future__ import annotations

import pytest
from fakes.console import Said
from hypothesis import given
from hypothesis import strategies as st

from mmectl.base.errors import MmectlError, UsageError
from mmectl.web.pages import PARTS
from mmectl.web.rows import COLUMNS, LOOKED_AT, MOST, Choice, arranged, unread
from mmectl.web.shared import Shared


def row(name, size=1, framework=None, invoked=None, loaded=None, versions=1, digest="d"):
    current = {"size": size, "framework": framework, "uploaded": "2026", "digest": digest}
    return {
        "name": name,
        "current": None if size is None else current,
        "versions": list(range(versions)),
        "last_invoked": invoked,
        "in_memory_on": loaded,
    }


def names(rows, **query):
    return [one["name"] for one in arranged(rows, Choice.of(query))]


def test_rows_are_sorted_either_way_and_those_without_a_value_come_last():
    rows = [row("b", 2), row("gone", None), row("a", 2), row("c", 3)]
    assert names(rows, sort="size") == ["a", "b", "c", "gone"]
    assert names(rows, sort="size", down="1") == ["c", "a", "b", "gone"]


def test_a_filter_is_a_part_of_the_name_in_any_case():
    rows = [row("Shops/a*"), row("arts/b")]
    assert names(rows, filter="SHOP") == ["Shops/a*"]
    assert names(rows, filter="*") == ["Shops/a*"]
    assert names(rows, filter="none") == []


_rows = st.builds(
    row,
    st.text(min_size=1),
    st.none() | st.integers(0),
    st.none() | st.text(),
    st.none() | st.text(),
    st.none() | st.integers(0),
)


@given(st.lists(_rows), st.sampled_from(COLUMNS), st.sampled_from(["", "1"]))
def test_no_row_is_lost_whatever_they_are_sorted_by(rows, sort, down):
    assert sorted(names(rows, sort=sort, down=down)) == sorted(one["name"] for one in rows)


@pytest.mark.parametrize(
    "query", [{"sort": "__class__"}, {"first": "-1"}, {"first": "1e3"}, {"count": "x"}]
)
def test_what_no_page_asks_for_is_refused(query):
    with pytest.raises(UsageError):
        Choice.of(query)


def test_a_page_gets_a_part_however_many_it_asks_for():
    models = [row(f"m{n:04}", digest=None) for n in range(5000)]
    listed = {"models": models, "total": 5000}
    found = PARTS["rows"].context(
        Said({"models list --all": listed}), {"first": "4950", "count": "4000"}
    )
    assert [one["name"] for one in found["rows"]] == [f"m{n}" for n in range(4950, 5000)]
    assert (found["shown"], found["unread"]) == (5000, 5000)
    assert Choice.of({"count": "4000"}).count == MOST
    assert unread(models[:LOOKED_AT]) == 0  # `models list` looked at them


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_an_answer_is_kept_the_longer_the_longer_it_took():
    clock = Clock()

    class Slow(Said):
        takes = 0.01

        def __call__(self, *arguments):
            clock.now += self.takes
            return super().__call__(*arguments)

    commands = Slow({"models": {}, "status": {}})
    shared = Shared(commands, clock)

    def asked():
        return len(commands.called)

    shared("models", "list", "--all")
    clock.now += 4.9
    shared("models", "list", "--all")
    assert asked() == 1
    clock.now += 0.2
    commands.takes = 0.5
    shared("models", "list", "--all")
    clock.now += 24.9
    shared("models", "list", "--all")
    assert asked() == 2
    shared.forget()
    shared("models", "list", "--all")
    assert asked() == 3
    shared("status")
    shared("status")
    assert asked() == 5


def test_an_error_is_not_kept():
    commands = Said({"models": MmectlError("no")})
    shared = Shared(commands)
    for _ in range(2):
        with pytest.raises(MmectlError):
            shared("models", "list", "--all")
    assert len(commands.called) == 2
