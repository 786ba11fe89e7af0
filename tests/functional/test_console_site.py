"""The console's server over real HTTP, with commands that are handed in."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import re
import shlex
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from fakes.console import Said
from fakes.console_site import TOKEN, served

from mmectl.app import App
from mmectl.base.errors import ArtifactError, MmectlError
from mmectl.cli import cli
from mmectl.commands.console import InProcess
from mmectl.console.output import Mode, Output
from mmectl.local import record
from mmectl.web.codes import Codes
from mmectl.web.guard import HEADERS
from mmectl.web.live import KEPT, Live

NOW = 1_000_000.0
EVIL = "<img src=x onerror=alert(1)>'\"&"
STATUS = {
    "endpoint": "demo",
    "status": "InService",
    "progress": "InService",
    "alarms": {EVIL: "ALARM"},
    "config": "demo-1",
    "location": "s3://b/demo/",
    "models_total": 1,
    "failure_reason": EVIL,
}
VERSION = {"version": 1, "target_model": f"{EVIL}.tar.gz", "size": 5, "framework": EVIL}
LISTED = {
    "location": "s3://b/",
    "total": 1,
    "next": None,
    "models": [
        {
            "name": EVIL,
            "current": VERSION | {"digest": None, "uploaded": "2026-01-01T00:00:00+00:00"},
            "versions": [1],
            "last_invoked": None,
            "in_memory_on": None,
        }
    ],
}
SHOWN = {
    "name": EVIL,
    "current": 1,
    "promoted": True,
    "versions": [VERSION | {"uploaded": "today", "in_memory_on": 1}],
    "history": [{"at": "now", "action": "promote", "version": 1, "before": None, "by": EVIL}],
}
ANSWERS: dict[str, Any] = {
    "status": STATUS,
    "models list": LISTED,
    "models show": SHOWN,
    "models promote": {"name": "m", "version": 2},
    "models remove --dry-run": {"removed": [EVIL], "size": 5, "breaks": [EVIL]},
    "logs": {
        "events": [{"time": 1, "stream": EVIL, "message": f"<script>{EVIL}</script>"}],
        "streams": [EVIL],
    },
    "invoke": {
        "cold": True,
        "seconds": 0.1,
        "variant": "v",
        "attempts": 1,
        "content_type": "text/csv",
        "spent": {"queue": 0.01, "download": 0.02, "load": 0.05, "model": 0.01},
        "labels": [{"class": EVIL, "probability": 0.5}],
        "body": EVIL,
    },
}


def console(answers=ANSWERS, live=None, **how):
    return served(answers, live, **how)


async def test_without_the_token_a_request_gets_nothing():
    async with console() as page:
        for path in ("/page/endpoint", "/page/nothing", "/live", "/events", "/ask/promote"):
            for headers in ({}, {"Authorization": "Bearer other"}, {"Cookie": "token=secret"}):
                assert (await page.get(path, headers))[0] == 401
        assert (await page.post("/do/promote", {"name": "m", "version": "v2"}, {}))[0] == 401
        assert (await page.post("/code", "", {}))[0] == 401
        assert (await page.post("/try", {"name": "m", "text": "1"}, {}))[0] == 401
        assert page.commands.called == []


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_another_site_gets_nothing_even_with_the_token(headers):
    async with console() as page:
        for path in ("/", "/static/console.js", "/page/endpoint", "/live"):
            assert (await page.get(path, TOKEN | headers))[0] == 403
        for path in ("/do/rollback", "/code", "/sign-in"):
            assert (await page.post(path, {"name": "m"}, TOKEN | headers))[0] == 403
        assert page.commands.called == []


async def test_each_answer_carries_the_policy():
    async with console() as page:
        for path in ("/", "/static/fleet.js", "/page/endpoint", "/page/nothing", "/nothing"):
            for headers in (TOKEN, {}):
                found = (await page.get(path, headers))[2]
                assert {name: found.get(name) for name in HEADERS} == HEADERS


async def test_the_shell_tells_nothing_of_the_project_and_loads_from_here_alone():
    async with console() as page:
        status, text, _ = await page.get("/", {})
        assert status == 200
        assert "demo" not in text
        assert "//" not in text.replace("<!doctype", "")
        for name in re.findall(r'(?:src|href)="(/[^"#]+)"', text):
            assert (await page.get(name, {}))[0] == 200


async def test_a_code_is_exchanged_for_the_token_once():
    codes = Codes()
    async with console(codes=codes) as page:
        code = codes.issue()
        assert await page.post("/sign-in", code, {}) == (200, '{"token": "secret"}')
        status, why = await page.post("/sign-in", code, {})
        assert (status, "used" in why, "secret" in why) == (401, True, False)


async def test_a_tab_that_is_signed_in_vouches_for_another():
    async with console() as page:
        code = json.loads((await page.post("/code", ""))[1])["code"]
        assert (await page.post("/sign-in", code, {}))[0] == 200


async def test_whoever_guesses_codes_is_heard_no_more():
    codes = Codes()
    async with console(codes=codes) as page:
        found = [(await page.post("/sign-in", "wrong", {}))[0] for _ in range(12)]
        assert found == [401] * 9 + [429] * 3
        code = codes.issue()
        assert "try again in" in (await page.post("/sign-in", code, {}))[1]
        assert (await page.get("/page/models"))[0] == 200  # who is signed in is


@pytest.mark.parametrize("name", ["..%2fsite.py", "%2e%2e/guard.py", "site.py", "htmx.js"])
async def test_static_files_are_those_that_are_named(name):
    async with console() as page:
        assert (await page.get(f"/static/{name}"))[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/page/endpoint",
        "/page/models",
        "/page/rows?first=0",
        "/page/model?name=m",
        "/page/logs",
        "/page/lines?after=1",
        "/ask/remove?name=m",
        "/page/try?name=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E'%22%26",
    ],
)
async def test_whatever_names_and_lines_say_is_text(path):
    async with console() as page:
        status, text, _ = await page.get(path)
        assert status == 200
        assert "&lt;img src=x onerror=alert(1)&gt;" in text
        assert "<img src=x" not in text
        assert "<script" not in text


async def test_an_answer_is_text_too_and_two_are_side_by_side():
    async with console() as page:
        form = FormData()
        form.add_field("name", "m")
        form.add_field("other", "--m2")
        form.add_field("file", b"1,2", filename="../../x.csv")
        status, text = await page.post("/try", form)
        assert status == 200
        assert text.count("<article>") == 2
        assert "<img src=x" not in text
        one, other = page.commands.called
        assert one.startswith("invoke --target-model m -- ")
        assert one.endswith("/request.csv")
        assert "--target-model --m2 --" in other


async def test_a_request_is_written_where_no_file_was_chosen():
    async with console() as page:
        form = FormData()
        form.add_field("name", "m")
        form.add_field("text", "1,2")
        form.add_field("content_type", "text/csv")
        # what a browser sends for a field without a file
        form.add_field("file", b"", filename="", content_type="application/octet-stream")
        _, text = await page.post("/try", form)
        assert "mmectl invoke --content-type text/csv --target-model m -- FILE" in text
        assert len(page.commands.called) == 1
        _, text = await page.post("/try", {"name": "m"})
        assert "drop a file or write a request" in text


@pytest.mark.parametrize(("answer", "said"), [([0.5], "as expected"), ([0.7], "not as expected")])
async def test_a_known_answer_is_compared(tmp_path, answer, said):
    (tmp_path / "rows.csv").write_text("1,2\n")
    (tmp_path / "expected.json").write_text(json.dumps({"answers": {"rows.csv": [0.5]}}))
    listed = {"models": {"value": [{"name": "m", "path": str(tmp_path)}]}}
    answers = ANSWERS | {"config show": listed}
    answers["invoke"] = ANSWERS["invoke"] | {"body": json.dumps(answer), "labels": []}
    async with console(answers) as page:
        assert (
            "<option>rows.csv</option>" in (await page.get("/page/questions?name=m_v2.tar.gz"))[1]
        )
        assert "<option>" not in (await page.get("/page/questions?name=other"))[1]
        _, text = await page.post("/try", {"name": "m", "question": "rows.csv"})
        assert said in text
        assert "[0.5]" in text
        _, text = await page.post("/try", {"name": "m", "question": "../rows.csv"})
        assert "is no question" in text


async def test_what_differs_between_two_answers_is_marked():
    answers = ANSWERS | {
        "invoke --target-model one": ANSWERS["invoke"] | {"body": f"[0.50, 1, {EVIL}]"},
        "invoke --target-model two": ANSWERS["invoke"] | {"body": f"[0.5000001, 1.2, {EVIL}]"},
    }
    async with console(answers) as page:
        form = {"name": "one", "other": "two", "text": "1", "tolerance": "0.001"}
        _, text = await page.post("/try", form)
        assert re.findall("<mark>(.*?)</mark>", text) == ["1", "1.2"]
        assert "<img src" not in text
        assert "1 of 3 numbers by more than 0.001" in text  # EVIL has one
        _, text = await page.post("/try", form | {"tolerance": "0.3"})
        assert "The answers are the same" in text
        for wrong in ("-1", "nan", "x"):
            assert (
                "is no number from 0" in (await page.post("/try", form | {"tolerance": wrong}))[1]
            )


async def test_answers_that_are_no_text_are_compared_as_a_whole():
    bodies = {"one": b"\x00", "two": b"\x01", "three": b"\x00"}
    plain = {key: value for key, value in ANSWERS["invoke"].items() if key != "body"}
    answers = {
        f"invoke --target-model {name}": plain | {"body_base64": base64.b64encode(body).decode()}
        for name, body in bodies.items()
    }
    async with console(answers) as page:
        for other, said in (("two", "The answers differ."), ("three", "byte by byte")):
            form = {"name": "one", "other": other, "text": "1"}
            assert said in (await page.post("/try", form))[1]


async def test_the_picture_of_a_question_is_had_to_be_shown(tmp_path):
    (tmp_path / "a.png").write_bytes(b"png")
    (tmp_path / "a.csv").write_bytes(b"1")
    (tmp_path / "expected.json").write_text(json.dumps({"answers": {"a.png": [1], "a.csv": [1]}}))
    listed = {"models": {"value": [{"name": "m", "path": str(tmp_path)}]}}
    async with console({"config show": listed}) as page:
        status, text, headers = await page.get("/picture?name=m&question=a.png")
        assert (status, text, headers["Content-Type"]) == (200, "png", "image/png")
        for other in ("a.csv", "expected.json", "../a.png", ""):
            _, text, headers = await page.get(f"/picture?name=m&question={other}")
            assert 'role="alert"' in text
            assert headers["Content-Type"].startswith("text/html")


async def test_an_error_of_a_command_is_shown_with_what_to_do():
    why = ArtifactError(f"no {EVIL}", hint="mmectl upload --all")
    async with console({"status": why}) as page:
        status, text, _ = await page.get("/page/endpoint")
        assert status == 200
        assert 'role="alert"' in text
        assert "<code>mmectl upload --all</code>" in text
        assert "<img" not in text


async def test_an_action_is_shown_as_a_command_then_done():
    async with console() as page:
        _, text, _ = await page.get("/ask/promote?name=m&version=v2")
        assert "mmectl models promote -- m v2" in text
        assert page.commands.called == []
        _, text = await page.post("/do/promote", {"name": "m", "version": "v2"})
        assert 'data-done="promote"' in text
        assert page.commands.called == ["models promote -- m v2"]
        assert (await page.post("/do/destroy", {"name": "m"}))[0] == 404


async def test_a_removal_shows_first_what_goes():
    async with console() as page:
        _, text, _ = await page.get("/ask/remove?name=m")
        assert page.commands.called == ["models remove --dry-run -- m"]
        assert "mmectl models remove --yes -- m" in text


async def test_several_models_are_removed_by_one_command():
    async with console() as page:
        names = FormData([("name", "a"), ("name", "--all"), ("name", EVIL)])
        status, text = await page.post("/ask/remove", names)
        assert status == 200
        assert text.count('type="hidden" name="name"') == 3
        assert "<img" not in text
        names = FormData([("name", "a"), ("name", "--all")])
        await page.post("/do/remove", names)
        assert page.commands.called == [
            shlex.join(["models", "remove", "--dry-run", "--", "a", "--all", EVIL]),
            "models remove --yes -- a --all",
        ]


async def test_a_list_is_read_once_for_all_its_parts_and_anew_after_an_action():
    async with console() as page:
        for path in ("/page/models", "/page/rows?first=1&sort=size&down=1", "/page/rows"):
            await page.get(path)
        assert page.commands.called == ["models list --all"]
        await page.post("/do/promote", {"name": "m", "version": "v2"})
        await page.get("/page/rows")
        assert page.commands.called[-2:] == ["models promote -- m v2", "models list --all"]


@pytest.mark.parametrize(("total", "said"), [(1, "<p>1 model at"), (5000, "<p>5,000 models at")])
async def test_it_says_how_many_models_there_are(total, said):
    async with console({"models list": LISTED | {"total": total}}) as page:
        assert said in (await page.get("/page/models"))[1]


async def test_a_model_that_was_removed_is_said_to_be_gone():
    why = ArtifactError(f"{EVIL}: no such model is uploaded", code="unknown_model")
    async with console({"models show": why}) as page:
        assert 'role="alert"' in (await page.get("/page/model?name=m"))[1]
        text = (await page.get("/page/model?name=m&left=1"))[1]
        assert "m was removed" in text
        assert "alert" not in text


async def test_a_console_to_look_at_changes_nothing():
    async with console(read_only=True) as page:
        for path in ("/do/promote", "/try"):
            _, text = await page.post(path, {"name": "m", "version": "v2", "text": "1"})
            assert "was started with --read-only" in text
        text = (await page.get("/page/try"))[1]
        assert "it sends no request" in text
        assert "<form" not in text
        assert page.commands.called == []
        assert "/ask/" not in (await page.get("/page/model?name=m"))[1]
        assert "checkbox" not in (await page.get("/page/models"))[1]


def fleet(*models):
    rows = [{"target_model": name, "memory_mb": 1, "in_flight": 0} for name in models]
    one = {"instance_id": "i-1", "state": "InService", "restarts": 0, "models": rows}
    return {"name": "demo", "status": "InService", "instances": [one]}


async def test_an_open_page_is_told_what_changes_and_a_closed_one_costs_nothing():
    looks = []
    found = [fleet("a")]

    def look():
        looks.append(1)
        if isinstance(found[0], MmectlError):
            raise found[0]
        return found[0]

    live = Live(look, every=0.01)
    async with console(live=live) as page:
        assert looks == []
        async with page.session.get(page.url + "/live", headers=TOKEN) as stream:
            first = json.loads(await stream.content.readline())
            assert first["instances"]["i-1"]["models"] == {"a": [1, "resting"]}
            found[0] = fleet("a", "b")
            then = json.loads(await stream.content.readline())
            assert then == {"instances": {"i-1": {"models": {"b": [1, "resting"]}}}}
            found[0] = MmectlError("it is gone")
            assert json.loads(await stream.content.readline()) == {"error": "it is gone"}
            found[0] = fleet("b")
            again = json.loads(await stream.content.readline())
            assert again == {"error": None, "instances": {"i-1": {"gone": ["a"]}}}
        _, text, _ = await page.get("/events")
        assert "<b>loaded</b> <bdi>b" in text
        assert "<b>unloaded</b> <bdi>a" in text
        for _ in range(1000):
            if not live.pages:
                break
            await asyncio.sleep(0.01)
        assert live.pages == 0
        count = len(looks)
        await asyncio.sleep(0.1)
        assert len(looks) <= count + 1  # one may have been under way


async def test_a_look_that_fails_is_told_and_the_next_one_goes_well():
    found = [KeyError("models"), fleet("a")]
    live = Live(lambda: found.pop(0) if len(found) == 1 else fail(found.pop(0)), every=0.01)
    messages: Any = live.messages()
    assert "KeyError" in (await anext(messages))["error"]
    again = await anext(messages)
    assert again["error"] is None
    assert "i-1" in again["instances"]
    await messages.aclose()


def fail(error):
    raise error


async def test_what_happened_before_is_told_once():
    """What a page of the console saw stands among its events; a promotion does not."""
    asked = []

    def history(start):
        asked.append(start)
        rows = [("loaded", NOW), ("promoted", NOW), ("loaded", NOW - 9), (EVIL, NOW - 9)]
        events = [{"time": t, "what": w, "about": EVIL, "instance": ""} for w, t in rows]
        return {"events": events, "notes": [f"denied {EVIL}"]}

    live = Live(lambda: fleet("a"), every=60, clock=lambda: NOW)
    async with console(live=live, history=history) as page:
        messages: Any = live.messages()
        await anext(messages)
        text = (await page.get("/history?since=7d"))[1]
        assert text.count("<b>loaded</b>") == 1
        assert text.count("<b>promoted</b>") == 1
        assert "denied" in text
        assert "<img" not in text
        assert time.time() - 7 * 86_400 - asked[0] < 60
        await messages.aclose()
        assert "is not one of" in (await page.get("/history?since=1y"))[1]
    assert live.saw(NOW)
    assert not live.saw(NOW - 1)
    assert not live.saw(NOW + 1)


async def test_what_the_events_have_no_room_for_any_more_is_told_of_the_past():
    """A look that sees more than are kept: the oldest stand among what happened before."""
    many = [f"m{n}" for n in range(KEPT + 1)]
    clock, looks = itertools.count(1), [fleet("a"), fleet(*many), fleet(*many)]
    look = lambda: looks.pop(0) if looks[1:] else looks[0]  # noqa: E731
    live = Live(look, every=0.001, clock=lambda: next(clock))
    messages: Any = live.messages()
    for _ in looks[:2]:
        await anext(messages)
    kept = [event["time"] for event in live.events]
    assert len(kept) == KEPT
    assert live.saw(kept[0])
    assert not live.saw(kept[0] - 0.5)
    await messages.aclose()


async def test_what_happened_before_the_first_look_was_done_was_not_seen():
    clock = iter([5.0, 7.0])
    live = Live(lambda: fleet("a"), every=60, clock=lambda: next(clock))
    messages: Any = live.messages()
    await anext(messages)
    await messages.aclose()
    assert not live.saw(4.9)
    assert live.saw(5.0)
    assert live.saw(7.0)
    assert not live.saw(7.1)


async def test_where_looks_fail_nothing_was_seen():
    clock, looks = itertools.count(1.0), [fleet("a")]
    live = Live(
        lambda: looks.pop() if looks else fail(MmectlError("it is gone")),
        every=60,
        clock=lambda: next(clock),
    )
    for _ in range(2):
        messages: Any = live.messages()
        await anext(messages)
        await messages.aclose()
    assert live.saw(2.0)
    assert not live.saw(2.5)


@pytest.mark.parametrize("kind", ["text/plain; charset=utf-8", "text/plain; charset=none-such"])
async def test_a_code_that_is_no_text_is_a_wrong_one(kind):
    async with console() as page:
        assert (await page.post("/sign-in", b"\xff", {"Content-Type": kind}))[0] == 401


async def test_where_there_is_nothing_live_a_page_is_told_so():
    async with console() as page:
        assert (await page.get("/live"))[0] == 204


@pytest.mark.parametrize(
    ("path", "buttons"),
    [("/ask/remove?name=m", 1), ("/ask/rollback", 1), ("/page/models", 0)],
)
async def test_a_dialog_with_an_error_can_be_closed(path, buttons):
    why = MmectlError("refused")
    async with console({"models remove": why, "models list": why}) as page:
        text = (await page.get(path))[1]
        assert 'role="alert"' in text
        assert text.count("data-close") == buttons


async def test_what_utf8_cannot_hold_is_shown_all_the_same():
    async with console({"status": STATUS | {"failure_reason": "bad \udcff name"}}) as page:
        assert "bad ? name" in (await page.get("/page/endpoint"))[1]


async def test_what_a_command_gives_is_shown_as_json_prints_it():
    given = {"name": "it's", "at": Path("x")}
    async with console({"models rollback": given}) as page:
        text = (await page.post("/do/rollback", {"name": "m"}))[1]
        assert "&#34;it&#39;s&#34;" in text
        assert "&#34;x&#34;" in text


async def test_a_page_shows_the_command_of_its_project():
    async with console() as page:
        page.commands.line = lambda *words: " ".join([*words, "--env prod"])
        assert "status --env prod" in (await page.get("/page/endpoint"))[1]


COUNT = 40


def test_a_command_that_hangs_keeps_nobody_waiting():
    """Neither others, however many hang, nor the end of the console; the request's file goes."""
    go_on, files, began = threading.Event(), [], threading.Semaphore(0)

    class Hanging(Said):
        def __call__(self, *arguments):
            files.append(Path(arguments[-1]))
            began.release()
            go_on.wait()

    async def story():
        async with console(Hanging({})) as page:
            form = {"name": "m", "text": "1"}
            asked = [asyncio.create_task(page.post("/try", form)) for _ in range(COUNT)]
            for _ in range(COUNT):
                assert await asyncio.to_thread(began.acquire, timeout=20)
            for one in asked:
                one.cancel()

    try:
        asyncio.run(story())
        assert not any(file.exists() for file in files)
    finally:
        go_on.set()


def test_commands_say_that_the_platform_has_ended(project, aws):
    """Not that somebody should check the network."""

    class Stopped(App):
        @property
        def aws(self):
            return aws

    (project / ".mmectl" / "local").mkdir(parents=True)
    record.path(project / ".mmectl").write_text("{}")  # one was there
    app = Stopped(Output(Mode(quiet=True), io.StringIO(), io.StringIO()))
    commands = InProcess(app, cli)
    with pytest.raises(MmectlError, match="platform is not running") as failed:
        commands("status")
    assert failed.value.hint == "mmectl local up"
    with pytest.raises(MmectlError, match="platform is not running"):
        commands.history(0.0)


def test_a_platform_that_has_another_port_is_found_again(project):
    class Asks(App):
        @property
        def aws(self):
            return record.read(self.config.state_dir).url

    state = project / ".mmectl"
    (state / "local").mkdir(parents=True)
    record.write(state, record.Record(1111, "us-east-1", "key", "secret"))
    commands = InProcess(Asks(Output(Mode(quiet=True), io.StringIO(), io.StringIO())), cli)
    assert commands.app.aws == "http://127.0.0.1:1111"
    record.write(state, record.Record(2222, "us-east-1", "key", "secret"))
    assert commands.app.aws == "http://127.0.0.1:2222"
    with pytest.raises(MmectlError, match="is not running"):  # and it is never started from here
        commands.app.connection()
