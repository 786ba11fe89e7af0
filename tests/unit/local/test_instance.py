"""The supervision of one server, on a runtime that is a fake."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from fakes.fleet import spec

from mmectl.local.instance.http_client import Answer, AnswerTimeoutError, WireError
from mmectl.local.instance.instance import Instance
from mmectl.local.instance.mms import Mms
from mmectl.local.instance.process_runtime import Launch, MakeRuntime, Runtime
from mmectl.local.instance.runtime_choice import RuntimeChoice
from mmectl.local.settings import RouterSettings
from mmectl.local.values import FleetFailed, FleetSpec

QUICK = RouterSettings(backoff=0, quick_death=0, ping_every=0.001, stop=0.05)


class FakeRuntime:
    """A server that lives until it is told otherwise."""

    def __init__(self, launch: Launch, printed: bytes = b"", code: int | None = None) -> None:
        self.launch = launch
        self.calls: list[str] = []
        self.pid: int | None = 7
        self.listens = launch.workspace.socket
        self._printed = printed
        self._at_once = code
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def code(self) -> int | None:
        return self._ended.result() if self._ended.done() else None

    @property
    def away(self) -> bool:
        return self.code == 125

    def die(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    async def start(self, output: int) -> None:
        os.write(output, self._printed)
        if self._at_once is not None:
            self.die(self._at_once)

    async def ready(self) -> None:
        self.calls.append("ready")

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def stop(self, timeout: float) -> None:
        await asyncio.sleep(0)
        self.calls.append("stop")
        self.die(0)

    async def kill(self) -> None:
        self.calls.append("kill")
        self.die(-9)

    async def end(self) -> None:
        await asyncio.sleep(0)
        self.calls.append("end")
        self.die(-9)

    def seen(self, folder: Path) -> str:
        return f"/seen/{folder.parent.name}"

    def admit(self, folder: Path) -> None:
        self.calls.append(f"admit {folder.name}")

    def workers(self, folder: Path, model: str) -> list[int]:
        return []


_runtime: type[Runtime] = FakeRuntime


class FakeMms(Mms):
    """A server that answers as it is told."""

    def __init__(self, path: Path | int) -> None:
        self.path = path
        self.pings: WireError | None = None
        self.loaded: list[tuple[str, str]] = []

    async def ping(self, timeout: float = 2) -> Answer:
        if self.pings is not None:
            raise self.pings
        return Answer(200)

    async def models(self, timeout: float = 10) -> dict[str, str]:
        return {}

    async def load(self, name: str, url: str, timeout: float) -> Answer:
        self.loaded.append((name, url))
        return Answer(200)

    def close(self) -> None:
        pass


class Stage:
    """An instance, the runs it made and the servers it talked to."""

    def __init__(self, folder: Path, settings: RouterSettings, **script: object) -> None:
        self.runs: list[FakeRuntime] = []
        self.servers: list[FakeMms] = []
        self.made = asyncio.Event()
        self.enough = 0
        self.states: list[str] = []
        self.folder = folder
        self.script = script
        self.instance = Instance(
            spec(startup_timeout=5.0),
            folder / "fleets",
            folder / "logs",
            state_dir=folder,
            settings=settings,
            choose=self._choose,
            make_mms=self._mms,
        )

    async def _choose(self, spec: FleetSpec) -> tuple[RuntimeChoice, MakeRuntime]:
        return RuntimeChoice("docker", "it is a test"), self._make

    def _make(self, launch: Launch) -> FakeRuntime:
        self.runs.append(FakeRuntime(launch, **self.script))  # type: ignore[arg-type]
        self.made.set()
        self.states.append(self.instance.state)
        if len(self.runs) + 1 == self.enough:
            self.script.clear()
        return self.runs[-1]

    def _mms(self, path: Path | int) -> FakeMms:
        self.servers.append(FakeMms(path))
        return self.servers[-1]


MakeStage = Callable[..., Stage]


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[MakeStage]:
    made: list[Stage] = []

    def make(settings: RouterSettings = QUICK, **script: object) -> Stage:
        made.append(Stage(tmp_path, settings, **script))
        return made[-1]

    yield make
    for each in made:
        await each.instance.stop()


async def test_an_instance_starts_serves_and_leaves_nothing(stage: MakeStage) -> None:
    s = stage(printed=b"hello\n")
    ups: list[str] = []
    s.instance.up = lambda: ups.append("up")
    await s.instance.start()
    (run,) = s.runs
    assert (s.instance.state, s.instance.pid) == ("InService", 7)
    assert s.servers[0].path == s.instance.listens == run.launch.workspace.socket
    assert s.instance.runtime == {"name": "docker", "reason": "it is a test"}
    assert ups == ["up"]
    assert run.launch.name.startswith(f"mmectl-{s.instance.id}-")
    await s.instance.stop()
    assert run.calls == ["ready", "stop", "end"]
    assert s.instance.pid is None
    assert list((s.folder / "fleets").iterdir()) == []
    (log,) = s.folder.rglob("*.log")
    assert "hello" in log.read_text()


async def test_a_model_is_loaded_by_the_path_that_the_server_knows(stage: MakeStage) -> None:
    s = stage()
    await s.instance.start()
    answer = await s.instance.models.load("abc", 5)
    assert answer.status == 200
    assert s.servers[0].loaded == [("abc", "/seen/abc")]
    assert "admit abc" in s.runs[0].calls


async def test_a_server_that_died_is_replaced(stage: MakeStage) -> None:
    s = stage()
    changes: asyncio.Queue[str] = asyncio.Queue()
    s.instance.up = lambda: changes.put_nowait("up")
    s.instance.down = lambda: changes.put_nowait("down")
    await s.instance.start()
    s.runs[0].die(137)
    told = [await asyncio.wait_for(changes.get(), 5) for _ in range(3)]
    assert told == ["up", "down", "up"]
    assert s.instance.restarts == 1
    assert s.runs[0].calls[-1] == "end"
    assert s.runs[0].launch.name != s.runs[1].launch.name
    (log,) = s.folder.rglob("*.log")
    assert "the server ended with code 137" in log.read_text()


async def test_a_server_that_never_comes_up_is_given_up_with_its_last_words(
    stage: MakeStage,
) -> None:
    said = b"docker: Error response from daemon: no space.\nSee 'docker run --help'.\n"
    s = stage(printed=said, code=125)
    with pytest.raises(FleetFailed) as caught:
        await asyncio.wait_for(s.instance.start(), 10)
    assert "ended with code 125: docker: Error response from daemon: no space." in str(caught.value)
    assert len(s.runs) == QUICK.start_attempts
    assert all(run.calls == ["end"] for run in s.runs)
    assert s.instance.state == "Failed"


async def test_an_engine_that_is_away_for_a_while_is_waited_for(stage: MakeStage) -> None:
    s = stage()
    up = asyncio.Event()
    await s.instance.start()
    s.instance.up = up.set
    s.script["code"] = 125
    s.runs[0].die(125)
    s.enough = 8
    await asyncio.wait_for(up.wait(), 5)
    assert len(s.runs) == 8
    assert s.instance.state == "InService"


async def test_a_server_that_was_up_is_tried_until_what_keeps_it_from_starting_has_passed(
    stage: MakeStage,
) -> None:
    s = stage()
    up = asyncio.Event()
    await s.instance.start()
    s.instance.up = up.set
    s.script.update(code=1, printed=b"OSError: [Errno 28] No space left on device\n")
    states = s.states = []
    s.runs[0].die(137)
    s.enough = 5 * QUICK.start_attempts
    await asyncio.wait_for(up.wait(), 5)
    assert len(s.runs) == 5 * QUICK.start_attempts
    assert set(states[: QUICK.start_attempts]) == {"Starting"}
    assert set(states[QUICK.start_attempts :]) == {"Failed"}, "nobody waits for it meanwhile"
    assert s.instance.state == "InService"


@pytest.mark.parametrize("deaths", [0, 1, 2, 3, 5, 100, 100_000])
async def test_the_pause_between_two_servers_is_bounded(stage: MakeStage, deaths: int) -> None:
    s = stage(RouterSettings())
    pause = s.instance._pause(deaths)
    assert pause == {0: 0, 1: 0, 2: 0.25, 3: 0.5, 5: 2.0}.get(deaths, 10.0)


async def test_pings_without_an_answer_end_a_server(stage: MakeStage) -> None:
    s = stage()
    changes: asyncio.Queue[str] = asyncio.Queue()
    await s.instance.start()
    s.instance.up = lambda: changes.put_nowait("up")
    s.servers[0].pings = AnswerTimeoutError("late")
    assert await asyncio.wait_for(changes.get(), 5) == "up"
    assert s.runs[0].calls == ["ready", "end"]


@pytest.mark.parametrize(
    ("error", "killed"), [(WireError("refused"), True), (AnswerTimeoutError("late"), False)]
)
async def test_a_server_that_lost_a_request_is_looked_at(
    stage: MakeStage, error: WireError, killed: bool
) -> None:
    s = stage(RouterSettings(backoff=0, quick_death=0, ping_every=60))
    await s.instance.start()
    s.servers[0].pings = error
    await asyncio.wait_for(s.instance.check(), 5)
    assert ("kill" in s.runs[0].calls) is killed


async def test_a_start_that_is_called_off_removes_the_server(stage: MakeStage) -> None:
    s = stage()
    s.instance._make_mms = Silent
    starting = asyncio.ensure_future(s.instance.start())
    await asyncio.wait_for(s.made.wait(), 5)
    starting.cancel()
    await asyncio.wait((starting,))
    await s.instance.stop()
    assert s.runs[0].calls[-1] == "end"
    assert s.instance.state == "Stopped"


class Silent(FakeMms):
    async def ping(self, timeout: float = 2) -> Answer:
        raise WireError("refused")


async def test_a_start_ends_with_whatever_ends_its_supervisor(
    stage: MakeStage, caplog: pytest.LogCaptureFixture
) -> None:
    s = stage(surprise=True)  # the fake runtime takes no such argument
    with pytest.raises(FleetFailed, match=r"The platform failed: TypeError: .*surprise"):
        await asyncio.wait_for(s.instance.start(), 10)
    assert s.instance.state == "Failed"
    assert "the supervisor of i-0" in caplog.text


@pytest.mark.parametrize("later", range(12))
async def test_a_stop_holds_whenever_it_meets_the_servers_death(
    stage: MakeStage, later: int
) -> None:
    s = stage()
    await s.instance.start()
    s.runs[0].die(137)
    for _ in range(later):
        await asyncio.sleep(0)
    await asyncio.wait_for(s.instance.stop(), 5)
    assert s.instance.state == "Stopped"
    assert all(run.calls[-1] == "end" for run in s.runs)


@pytest.mark.parametrize("turns", range(8))
async def test_a_stop_that_was_cancelled_is_finished_by_the_next(
    stage: MakeStage, turns: int
) -> None:
    s = stage(printed=b"hello\n")
    await s.instance.start()
    first = asyncio.ensure_future(s.instance.stop())
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    second = s.instance.stop()  # at the same time, if the first goes on
    await asyncio.wait_for(asyncio.gather(first, second, return_exceptions=True), 5)
    assert s.instance.state == "Stopped"
    assert s.runs[0].calls[-1] == "end"
    assert list((s.folder / "fleets").iterdir()) == []
    assert s.instance._run is None


async def test_two_stops_at_once_are_one_after_the_other(stage: MakeStage) -> None:
    s = stage()
    await s.instance.start()
    await asyncio.gather(s.instance.stop(), s.instance.stop())
    assert s.runs[0].calls == ["ready", "stop", "end"]
