"""`mmectl console --open`: another address of a console that runs."""

from __future__ import annotations

import json
import os
import stat
import time

import pytest
from click.testing import CliRunner

from mmectl.base.errors import MmectlError
from mmectl.cli import cli
from mmectl.web import codes, consoles


@pytest.fixture
def state(project):
    folder = project / ".mmectl"
    folder.mkdir()
    return folder


def opened(*options):
    return CliRunner().invoke(cli, ["console", "--open", "--no-browser", "--json", *options])


def test_the_address_signs_in_at_the_console_that_runs(state):
    with consoles.announced(state, 8001) as folder:
        address = json.loads(opened().stdout)["url"]  # one value
        origin, _, code = address.partition("#code=")
        assert origin == "http://127.0.0.1:8001/"
        left = [path for path in folder.iterdir() if path.name != "lock"]
        assert [path.name for path in left] == [codes.digest(code)]
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
        assert not consoles.taken(folder, codes.digest("another"))
        assert consoles.taken(folder, codes.digest(code))
        assert not consoles.taken(folder, codes.digest(code))


def test_an_old_one_is_good_no_more(state):
    with consoles.announced(state, 8001) as folder:
        kept = codes.digest(consoles.leave(state, 8001))
        old = time.time() - codes.LIFETIME
        os.utime(folder / kept, (old, old))
        assert not consoles.taken(folder, kept)


def test_of_several_it_is_the_last_one_or_that_of_the_port(state):
    with consoles.announced(state, 8001), consoles.announced(state, 8002) as folder:
        later = time.time() + 5
        os.utime(folder / "lock", (later, later))
        assert consoles.running(state) == [8002, 8001]
        assert ":8002/" in opened().stdout
        assert ":8001/" in opened("--port", "8001").stdout


def test_without_one_it_says_how_to_start_it(state):
    with consoles.announced(state, 8001):
        pass
    (state / "consoles" / "8003").mkdir()  # of one that was killed
    found = opened()
    assert isinstance(found.exception, MmectlError)
    assert found.exception.code == "console_not_running"
    assert not (state / "consoles" / "8003").exists()


def test_the_page_that_leads_there_goes_with_its_code(state):
    with consoles.announced(state, 8001) as folder:
        code = consoles.leave(state, 8001)
        page = consoles.page(state, 8001, code)
        assert consoles.address(8001, code) in page.read_text()
        assert stat.S_IMODE(page.stat().st_mode) == 0o600
        assert consoles.taken(folder, codes.digest(code))
        assert [path.name for path in folder.iterdir()] == ["lock"]


def test_what_nobody_came_for_goes_when_the_next_one_is_left(state):
    with consoles.announced(state, 8001) as folder:
        code = consoles.leave(state, 8001)
        old = time.time() - codes.LIFETIME - 1
        for path in (consoles.page(state, 8001, code), folder / codes.digest(code)):
            os.utime(path, (old, old))
        kept = codes.digest(consoles.leave(state, 8001))
        assert {path.name for path in folder.iterdir()} == {"lock", kept}
