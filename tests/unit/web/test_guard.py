"""Who may ask the console."""

from __future__ import annotations

import pytest

from mmectl.web.guard import HEADERS, Guard

GUARD = Guard("secret", 8000)
OURS = {"Host": "127.0.0.1:8000"}


@pytest.mark.parametrize(
    "headers",
    [
        OURS,
        {"Host": "localhost:8000"},
        OURS | {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
        OURS | {"Sec-Fetch-Site": "none"},  # the address bar
    ],
)
def test_a_page_of_ours_may_ask(headers):
    assert GUARD.foreign(headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "evil.example:8000"},  # a name of somebody else's that leads here
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:8001"},
        OURS | {"Origin": "http://evil.example"},
        OURS | {"Origin": "null"},  # a file, or a sandboxed frame
        OURS | {"Origin": "https://127.0.0.1:8000"},
        OURS | {"Origin": "http://127.0.0.1:8001"},
        OURS | {"Sec-Fetch-Site": "cross-site"},
        OURS | {"Sec-Fetch-Site": "same-site"},  # another port of this machine
    ],
)
def test_nobody_else_may(headers):
    assert GUARD.foreign(headers)


LINK = OURS | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}


def test_a_link_leads_to_the_console_but_to_nothing_of_it():
    """The file that opens the browser is another site's to it."""
    followed = LINK | {"Sec-Fetch-Dest": "document"}
    assert GUARD.foreign(followed, opens=True) is None
    assert GUARD.foreign(followed)
    assert GUARD.foreign(LINK | {"Sec-Fetch-Dest": "iframe"}, opens=True)
    assert GUARD.foreign(followed | {"Host": "evil.example:8000"}, opens=True)
    assert GUARD.foreign(followed | {"Origin": "null"}, opens=True)


def test_browsers_leave_port_80_out():
    guard = Guard("secret", 80)
    headers = {"Host": "127.0.0.1", "Origin": "http://127.0.0.1"}
    assert guard.foreign(headers) is None
    assert guard.foreign(headers | {"Origin": "http://evil.example"})


@pytest.mark.parametrize(
    "given",
    ["", "secret", "Bearer", "Bearer ", "Bearer secre", "bearer secret", "Bearer ünï\udcff"],
)
def test_the_token_is_needed_as_it_is(given):
    assert not GUARD.knows({"Authorization": given})
    assert not GUARD.knows({"Cookie": "token=secret"})


def test_who_has_the_token_is_known():
    assert GUARD.knows({"Authorization": "Bearer secret"})


def test_pages_run_no_inline_code_and_load_nothing_from_elsewhere():
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy
