"""Runs of `mmectl bench` that the console starts, by processes that are handed in."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from fakes.bench_process import ENDS, GOES_ON, Scripted
from fakes.console import Said
from fakes.console_answers import save
from fakes.console_site import served
from multidict import MultiDict

from mmectl.app import App
from mmectl.base.errors import UsageError
from mmectl.cli import cli
from mmectl.commands.console import InProcess
from mmectl.console.output import Mode, Output
from mmectl.traffic import figures
from mmectl.web import attached, bench, bench_run

HEEDS_NOTHING = "signal.signal(signal.SIGINT, signal.SIG_IGN); say(event='progress')\n" + GOES_ON
SAYS_MUCH = "while True: print('x' * 100_000, flush=True)"
DIES = "print('no JSON'); print(5); sys.exit(3)"
FORM = {"text": "1,2", "save": "a.json", "models": "m --x", "rate": "5", "pattern": "zipf"}


def text_of(name):
    return Path(name).read_text()


def put(name, text):
    Path(name).write_text(text)


async def told(page, text):
    """Wait until the page tells it of the run."""
    for _ in range(1000):
        shown = (await page.get("/bench/running?seen=1"))[1]
        if text in shown:
            return shown
        await asyncio.sleep(0.02)
    raise AssertionError(shown)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


async def test_a_run_goes_on_is_saved_and_opened():
    async with served(Scripted(ENDS)) as page:
        await page.post("/bench/start", FORM)
        text = await told(page, "The last run is saved")
        line = "mmectl bench run -m m -m --x --pattern zipf --rate 5 --save a.json -- FILE"
        assert line in text
        assert 'hx-get="/page/bench?run=a.json"' in text
        assert text_of("a.json") == "1,2"  # it had the request
        again = (await page.get("/bench/running"))[1]
        assert "/page/bench" not in again  # opened once
        assert "already" in (await page.post("/bench/start", FORM))[1]  # the file


async def test_its_progress_is_seen_and_it_can_be_stopped():
    async with served(Scripted(GOES_ON)) as page:
        await page.post("/bench/start", FORM)
        text = await told(page, "5 requests a second")
        assert '<progress max="8" value="3"' in text
        assert 'role="status"' not in text  # it would be read out each second
        assert "a run goes on already" in (await page.post("/bench/start", FORM))[1]
        await page.post("/bench/stop", "")
        text = await told(page, 'role="alert"')
        assert "stopped &lt;b&gt;" in text
        assert "The last run is saved" in text


async def test_a_page_that_knows_the_run_is_told_what_moved_alone():
    """What is pressed is not swapped; a page that shows another state asks for all of it."""
    async with served(Scripted(GOES_ON)) as page:
        assert (await page.get("/bench/running?known=0-done"))[0] == 204
        await page.post("/bench/start", FORM)
        assert 'hx-post="/bench/stop?known=1-on"' in await told(page, "5 requests a second")
        moved = (await page.get("/bench/running?known=1-on"))[1]
        assert '<progress max="8" value="3"' in moved
        assert "/bench/stop" not in moved
        assert 'hx-get="/bench/running"' in (await page.get("/bench/running?known=0-done"))[1]
        await page.post("/bench/stop?known=1-on", "")
        await told(page, 'role="alert"')
        ended = (await page.get("/bench/running?known=1-on"))[1]
        assert 'hx-get="/bench/running?seen=1"' in ended
        assert (await page.get("/bench/running?known=1-done"))[0] == 204


async def test_after_one_that_was_stopped_another_can_begin():
    async with served(Scripted(GOES_ON)) as page:
        await page.post("/bench/start", FORM)
        await page.post("/bench/stop", "")
        await told(page, 'role="alert"')
        await page.post("/bench/start", FORM)
        assert "A run goes on" in await told(page, "5 requests a second")


async def test_a_page_that_shows_an_earlier_run_stops_no_later_one():
    async with served(Scripted(GOES_ON)) as page:
        await page.post("/bench/start", FORM)
        await page.post("/bench/stop?known=1-on", "")
        await told(page, 'role="alert"')
        await page.post("/bench/start", FORM)
        _, text = await page.post("/bench/stop?known=1-on", "")
        assert 'hx-get="/bench/running"' in text  # all of it is asked for
        assert "A run goes on" in (await page.get("/bench/running?known=2-on"))[1]


async def test_it_ends_with_the_console():
    commands = Scripted(GOES_ON)
    async with served(commands) as page:
        await page.post("/bench/start", FORM)
        await told(page, "5 requests a second")
    # the context would not have ended otherwise


def test_it_ends_with_a_console_that_nobody_could_tell_to_end(monkeypatch):
    """SIGKILL: the other end of its standard input is closed, here of any command that waits."""
    Path("config.yaml").write_text("platform: aws\nendpoint: {name: demo}\n")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    words = InProcess(App(Output(Mode(quiet=True))), cli).process("console", "--no-browser")
    with subprocess.Popen(
        [*words, "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert b"url" in running.stdout.readline()
        running.stdin.close()
        assert running.wait(60) == 0
        assert b"the console has ended" in running.stderr.read()


def test_one_that_heeds_nothing_is_killed():
    ours, theirs = os.pipe()
    os.close(theirs)
    ended = []
    attached.watch(ours, ended.append, sleep=ended.append)
    assert ended == [signal.SIGINT, attached.PATIENCE, signal.SIGKILL]
    os.close(ours)


async def test_one_that_dies_is_told():
    async with served(Scripted(DIES)) as page:
        await page.post("/bench/start", FORM)
        assert "exit code 3" in await told(page, 'role="alert"')


async def test_two_tabs_start_one_run():
    commands = Scripted(GOES_ON)
    async with served(commands) as page:
        other = FORM | {"save": "b.json"}
        texts = await asyncio.gather(
            *(page.post("/bench/start", form) for form in (FORM, other, FORM, other))
        )
        assert sum("a run goes on already" in text for _, text in texts) == 3
        await told(page, "5 requests a second")
        await page.post("/bench/stop", "")
        await told(page, 'role="alert"')
    assert commands.processes == 1


async def test_one_that_is_stopped_at_once_does_not_begin():
    commands = Scripted(ENDS)
    run = bench_run.Running(commands)
    await run.start(FORM)
    await run.stop()
    await run.close()
    assert "before it began" in run.state["result"]["errors"][0]["message"]
    assert commands.processes == 0


async def test_one_that_does_not_heed_it_is_killed_where_it_is_stopped_again():
    now = [0.0]
    run = bench_run.Running(Scripted(HEEDS_NOTHING), clock=lambda: now[0])
    await run.start(FORM)
    for _ in range(1000):
        if run.state["progress"] == {"event": "progress"}:  # it heeded it until then
            break
        await asyncio.sleep(0.02)
    await run.stop()
    now[0] = attached.PATIENCE - 1
    await run.stop()
    assert run.state["running"]
    now[0] = attached.PATIENCE
    await run.stop()
    await run._task
    assert "exit code -9" in run.state["result"]["errors"][0]["message"]


async def test_one_that_says_too_much_is_ended_and_told():
    run = bench_run.Running(Scripted(SAYS_MUCH), longest=1000)
    await run.start(FORM)
    await asyncio.wait_for(run._task, 60)
    assert "could not be followed" in run.state["result"]["errors"][0]["message"]


async def test_one_that_cannot_be_written_down_is_told(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "none")
    run = bench_run.Running(Scripted(ENDS))
    await run.start(FORM)
    await run._task
    assert "could not be followed" in run.state["result"]["errors"][0]["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"save": ""},
        {"save": "../a.json"},
        {"save": "/tmp/a.json"},
        {"save": "a.yaml"},
        {"save": "-x.json"},
        {"save": "there.json"},
        {"text": ""},
    ],
)
async def test_what_cannot_be_saved_or_sent_is_refused(change):
    put("there.json", "mine")
    async with served(Scripted(ENDS)) as page:
        assert 'role="alert"' in (await page.post("/bench/start", FORM | change))[1]
        assert "line" not in (await page.get("/bench/running?seen=1"))[1]
    assert text_of("there.json") == "mine"


async def test_a_console_to_look_at_starts_none():
    async with served(Scripted(ENDS), read_only=True) as page:
        for path in ("/bench/start", "/bench/stop"):
            assert "--read-only" in (await page.post(path, FORM))[1]
        text = (await page.get("/page/bench"))[1]
        assert "it starts no run" in text
        assert "/bench/start" not in text


async def test_the_command_is_shown_before_it_runs():
    async with served(Scripted(ENDS)) as page:
        query = "save=a.json&models=x&count=5&concurrency=2"
        text = (await page.get(f"/bench/command?{query}"))[1]
        assert "mmectl bench run -m x --concurrency 2 --count 5 --save a.json -- FILE" in text


def saved(name, started, throughput, **more):
    seconds = [{"second": 0, "answered": 4, "p50": 0.01}]
    one = {"load": "1 at once", "models": 1, "hit_rate": None, "cold": 0, "per_second": seconds}
    save(name, started=started, throughput=throughput, **one | more)


class Compares(Said):
    """`mmectl bench compare` as it is."""

    def __call__(self, *arguments):
        self.called.append(" ".join(arguments))
        before, after = (json.loads(Path(name).read_bytes()) for name in arguments[-2:])
        return {"figures": figures.compare(before, after)}


async def test_runs_stand_side_by_side_with_the_oldest_first():
    saved("<b>.json", "2026-01-03", 30.0, load="2 at once")
    saved("old.json", "2026-01-01", 10.0)
    saved("mid.json", "2026-01-02", 5.0)
    async with served(Compares({})) as page:
        chosen = "run=%3Cb%3E.json&run=old.json&run=mid.json"
        text = (await page.get(f"/page/bench?{chosen}"))[1]
        called = ["bench compare -- old.json mid.json", "bench compare -- old.json <b>.json"]
        assert page.commands.called == called
        assert "Compared with old.json" in text
        assert "<b>.json" not in text
        assert "different loads" in text
        row = text[text.index("<td>throughput, 1/s</td>") :].partition("</tr>")[0]
        for shown in (">10</td>", ">5</td>", ">-5</td>", ">0.50</td>", ">+20</td>", ">3.00</td>"):
            assert shown in row
        assert row.index("worse") < row.index("better")
        assert text.count("<polyline") == 9  # three charts of three runs


def test_files_that_are_no_runs_of_this_version_are_left_out():
    saved("a.json", "2026", 1.0)
    saved("later.json", "2027", 1.0, bench_version=2)
    put("part.json", json.dumps({"bench_version": 1, "load": "x"}))
    put("deep.json", "[" * 100_000)
    Path("folder.json").mkdir()
    os.mkfifo("pipe.json")
    assert [run["file"] for run in bench.bench(Said({}), MultiDict())["runs"]] == ["a.json"]


def test_the_distribution_is_in_parts_of_all_answers():
    saved("a.json", "2026", 1.0)
    chart = bench.bench(Said({}), MultiDict(run="a.json"))["charts"][0]
    assert [dot["text"] for dot in chart["lines"][0]["dots"]] == [
        "10 ms  a.json 75 %",
        "12.6 ms  a.json 25 %",
    ]


def test_more_than_can_be_told_apart_are_refused():
    for n in range(bench.MOST + 1):
        saved(f"{n}.json", str(n), 1.0)
    query = MultiDict([("run", f"{n}.json") for n in range(bench.MOST + 1)])
    with pytest.raises(UsageError, match="at most"):
        bench.bench(Compares({}), query)


def test_a_name_is_proposed_that_can_be_saved():
    assert bench_run.arguments({"save": bench_run.suggested(lambda: 0.0)})
