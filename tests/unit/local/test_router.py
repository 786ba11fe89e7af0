"""Requests through fleets of fake instances: loads, evictions, faults, errors in AWS's words."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fleet_fakes import (
    CONFLICT,
    DIED,
    NO_MEMORY,
    NO_WORKER,
    NOT_STARTED,
    UNKNOWN,
    FakeServer,
    FakeStore,
    archive,
    error,
    spec,
)

from mmectl.local.fleet.router import LocalFleets, RouterSettings
from mmectl.local.fleet.verdicts import model_name
from mmectl.local.fleet.wire import Answer, AnswerTimeoutError, WireError
from mmectl.local.values import AwsError, FleetFailed, FleetSpec, InvokeRequest, InvokeResponse
from mmectl.unpack import DiskFullError

MB = 1 << 20
QUICK = RouterSettings(grace=0, memory=1000 * MB, model_base=100 * MB, model_factor=0)


class Plane:
    """A data plane of fake instances."""

    def __init__(self, folder: Path, settings: RouterSettings = QUICK) -> None:
        self.store = FakeStore(folder)
        self.servers: list[FakeServer] = []
        self._folder = folder / "fleets"
        self.fleets = LocalFleets(self._folder, self.store, settings, make_server=self._server)

    def _server(self, spec: FleetSpec, share: int) -> FakeServer:
        self.servers.append(FakeServer(len(self.servers), self._folder))
        return self.servers[-1]

    async def start(self, **changes: object) -> Plane:
        await self.fleets.start((spec(**changes),))
        return self

    async def invoke(self, target: str | None = "a.tar.gz", body: bytes = b"!") -> InvokeResponse:
        return await self.fleets.invoke("ep", "cfg", InvokeRequest(body, target_model=target))

    async def refusal(self, target: str | None = "a.tar.gz") -> AwsError:
        with pytest.raises(AwsError) as caught:
            await self.invoke(target)
        return caught.value

    def put(self, *names: str) -> None:
        for name in names:
            self.store.put(f"demo/{name}")


MakePlane = Callable[..., Awaitable[Plane]]


@pytest.fixture
def plane(tmp_path: Path) -> MakePlane:
    async def make(settings: RouterSettings = QUICK, **changes: object) -> Plane:
        made = await Plane(tmp_path, settings).start(**changes)
        made.put("a.tar.gz", "b.tar.gz", "c.tar.gz", "sub/d.tar.gz")
        return made

    return make


async def settle() -> None:
    """Let tasks run that wait for nothing but each other."""
    for _ in range(20):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let tasks and threads run until that holds."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "never happened"
        await asyncio.sleep(0)


# the way of a request


async def test_cold_then_warm(plane: MakePlane) -> None:
    p = await plane()
    first = await p.invoke()
    assert (first.body, first.content_type, first.variant) == (b"i-0!", "text/plain", "AllTraffic")
    assert (await p.invoke()).body == b"i-0!"
    (server,) = p.servers
    assert server.count("load", "a.tar.gz") == 1
    assert server.count("invoke", "a.tar.gz") == 2
    assert p.store.asked == {"demo/a.tar.gz": 1}
    assert server.requests[0].target_model == "a.tar.gz"
    (row,) = p.fleets.describe("ep", "cfg")
    assert row["models"] == [{"target_model": "a.tar.gz", "memory_mb": 100, "in_flight": 0}]


async def test_one_load_however_many_wait(plane: MakePlane) -> None:
    p = await plane(instance_count=2)
    gate = p.servers[0].gate("load", "a.tar.gz")
    requests = [asyncio.create_task(p.invoke()) for _ in range(20)]
    await until(lambda: p.servers[0].count("load", "a.tar.gz") == 1)
    gate.set()
    answers = await asyncio.gather(*requests)
    assert {answer.body for answer in answers} == {b"i-0!"}
    assert sum(s.count("load", "a.tar.gz") for s in p.servers) == 1


async def test_models_spread_over_the_instances(plane: MakePlane) -> None:
    p = await plane(instance_count=2)
    assert (await p.invoke("a.tar.gz")).body == b"i-0!"
    assert (await p.invoke("b.tar.gz")).body == b"i-1!"
    assert (await p.invoke("a.tar.gz")).body == b"i-0!"


async def test_a_crowded_model_gets_a_second_copy(plane: MakePlane) -> None:
    routing = "LEAST_OUTSTANDING_REQUESTS"
    p = await plane(replace(QUICK, spread_at=2), instance_count=2, routing=routing)
    await p.invoke()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    held = [asyncio.create_task(p.invoke()) for _ in range(3)]
    await until(lambda: p.servers[1].holds("a.tar.gz"))
    await settle()
    assert (await p.invoke()).body == b"i-1!"
    gate.set()
    await asyncio.gather(*held)


async def test_an_overwritten_object_is_not_noticed(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke()
    p.store.put("demo/a.tar.gz", b"not even an archive")
    assert (await p.invoke()).body == b"i-0!"
    p.store.delete("demo/a.tar.gz")
    assert (await p.invoke()).body == b"i-0!"


async def test_nested_targets_and_409(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].will("load", "sub/d.tar.gz", error(409, "ConflictStatusException", "already"))
    assert (await p.invoke("sub/d.tar.gz")).body == b"i-0!"


async def test_headers_of_the_answer(plane: MakePlane) -> None:
    p = await plane()
    headers = {"content-type": "x/y", "x-amzn-sagemaker-custom-attributes": "trace=1"}
    p.servers[0].will("invoke", "a.tar.gz", Answer(200, headers, b"z"))
    answer = await p.invoke()
    assert (answer.content_type, answer.custom_attributes) == ("x/y", "trace=1")


# what cannot be served


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("", "at least 1"),
        ("x" * 1025, "at most 1024"),
        (" a.tar.gz", "regular expression"),
        ("a\n.tar.gz", "regular expression"),
        ("/a.tar.gz", "leading '/'"),
        ("../a.tar.gz", "'..'"),
        ("sub/../a.tar.gz", "'..'"),
        ("sub//a.tar.gz", "''"),
        ("sub/", "''"),
    ],
)
async def test_bad_targets(plane: MakePlane, target: str, text: str) -> None:
    p = await plane()
    refusal = await p.refusal(target)
    assert (refusal.code, refusal.status) == ("ValidationError", 400)
    assert text in refusal.message
    assert not p.store.asked


async def test_no_target(plane: MakePlane) -> None:
    refusal = await (await plane()).refusal(None)
    assert refusal.code == "ValidationError"
    assert "multi-model endpoint" in refusal.message


async def test_no_object(plane: MakePlane) -> None:
    p = await plane()
    refusal = await p.refusal("missing.tar.gz")
    assert (refusal.code, refusal.status) == ("ValidationError", 400)
    assert "s3://models/demo/missing.tar.gz" in refusal.message
    p.put("missing.tar.gz")
    assert (await p.invoke("missing.tar.gz")).body == b"i-0!"


async def test_a_bad_archive_and_its_repair(plane: MakePlane) -> None:
    p = await plane()
    p.store.put("demo/bad.tar.gz", archive(**{"evil.py": b"x"}))
    refusal = await p.refusal("bad.tar.gz")
    assert (refusal.code, refusal.status) == ("ModelError", 424)
    assert "'evil.py' is code" in refusal.message
    p.put("bad.tar.gz")
    assert (await p.invoke("bad.tar.gz")).body == b"i-0!"


async def test_code_in_an_archive_can_be_allowed(plane: MakePlane) -> None:
    p = await plane(environment={"MMECTL_ALLOW_MODEL_CODE": "true"})
    p.store.put("demo/code.tar.gz", archive(**{"service.py": b"x"}))
    assert (await p.invoke("code.tar.gz")).body == b"i-0!"


async def test_an_unknown_endpoint(tmp_path: Path) -> None:
    refusal = await Plane(tmp_path).refusal()
    assert (refusal.code, refusal.status) == ("ServiceUnavailable", 503)


async def test_errors_of_the_model(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].will(
        "invoke",
        "a.tar.gz",
        error(400, "BadRequestException", "not an image"),
        error(503, "InternalServerException", "Prediction failed"),
        Answer(413),
        NO_WORKER,
    )
    refusal = await p.refusal()
    assert (refusal.code, refusal.status) == ("ModelError", 424)
    assert refusal.message.startswith("Received client error (400) from primary with message ")
    assert refusal.message.endswith("in account 123456789012 for more information.")
    assert refusal.members["OriginalStatusCode"] == 400
    assert "not an image" in str(refusal.members["OriginalMessage"])
    assert str(refusal.members["LogStreamArn"]).endswith(
        ":log-group:/aws/sagemaker/Endpoints/ep:log-stream:AllTraffic/i-0"
    )
    assert "server error (503)" in (await p.refusal()).message
    assert "too large" in (await p.refusal()).message
    busy = await p.refusal()
    assert (busy.code, busy.status) == ("ServiceUnavailable", 503)


async def test_an_invocation_that_takes_too_long(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].will("invoke", "a.tar.gz", AnswerTimeoutError("60 s"))
    refusal = await p.refusal()
    assert refusal.code == "ModelError"
    assert "Your invocation timed out" in refusal.message
    assert p.servers[0].count("invoke", "a.tar.gz") == 1


# loading


async def test_not_ready_while_the_load_goes_on(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, wait=0.01))
    gate = p.servers[0].gate("load", "a.tar.gz")
    refusal = await p.refusal()
    assert (refusal.code, refusal.status) == ("ModelNotReadyException", 429)
    gate.set()
    await until(lambda: bool(p.fleets.describe("ep", "cfg")[0]["models"]))
    assert (await p.invoke()).body == b"i-0!"
    assert p.servers[0].count("load", "a.tar.gz") == 1


async def test_a_load_that_fails_says_why_and_is_tried_afresh(plane: MakePlane) -> None:
    p = await plane()
    (server,) = p.servers
    gate = server.gate("load", "a.tar.gz")
    server.will("load", "a.tar.gz", NOT_STARTED)
    failed = asyncio.create_task(p.refusal())
    await until(lambda: server.count("load", "a.tar.gz") == 1)
    server.log.append("ValueError: no symbol")
    gate.set()
    refusal = await failed
    assert refusal.code == "ModelError"
    assert "Failed to load model a.tar.gz: ValueError: no symbol" in refusal.message
    assert server.count("unload", "a.tar.gz") == 1  # no ghost stays
    assert (await p.invoke()).body == b"i-0!"
    assert p.store.asked["demo/a.tar.gz"] == 2


async def test_a_worker_killed_during_the_load(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].will("load", "a.tar.gz", DIED)
    assert (await p.invoke()).body == b"i-0!"
    p.servers[0].will("load", "b.tar.gz", NOT_STARTED, DIED)
    assert "Failed to load model b.tar.gz: Worker died." in (await p.refusal("b.tar.gz")).message


async def test_a_load_that_takes_too_long(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].will("load", "a.tar.gz", AnswerTimeoutError("360 s"))
    assert "it took over 360 s" in (await p.refusal()).message
    assert p.servers[0].count("unload", "a.tar.gz") == 1


async def test_a_client_that_leaves_does_not_stop_the_load(plane: MakePlane) -> None:
    p = await plane()
    gate = p.servers[0].gate("load", "a.tar.gz")
    leaver, stayer = asyncio.create_task(p.invoke()), asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("load", "a.tar.gz") == 1)
    leaver.cancel()
    gate.set()
    assert (await stayer).body == b"i-0!"
    with pytest.raises(asyncio.CancelledError):
        await leaver


async def test_a_client_that_leaves_during_its_invocation(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    leaver = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 2)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    gate.set()
    assert p.fleets.describe("ep", "cfg")[0]["models"] == [
        {"target_model": "a.tar.gz", "memory_mb": 100, "in_flight": 0}
    ]


# memory and disk


async def test_idle_models_make_room(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=200 * MB))
    for name in ("a.tar.gz", "b.tar.gz", "a.tar.gz", "c.tar.gz"):
        await p.invoke(name)
    (server,) = p.servers
    assert [server.holds(n) for n in ("a.tar.gz", "b.tar.gz", "c.tar.gz")] == [True, False, True]
    await p.invoke("b.tar.gz")
    assert p.store.asked["demo/b.tar.gz"] == 1  # its files were still there
    assert not server.holds("a.tar.gz")


async def test_a_busy_model_is_waited_for(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=100 * MB))
    await p.invoke()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    busy = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 2)
    other = asyncio.create_task(p.invoke("b.tar.gz"))
    await settle()
    assert p.servers[0].count("load", "b.tar.gz") == 0
    gate.set()
    assert (await busy).body == b"i-0!"
    assert (await other).body == b"i-0!"
    assert not p.servers[0].holds("a.tar.gz")


async def test_a_busy_model_is_not_waited_for_for_ever(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=100 * MB))
    await p.invoke()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    busy = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 2)
    fleet = p.fleets._entries["ep", "cfg"].fleets[0]
    fleet._loader._room._settings = replace(QUICK, wait=0.01)  # type: ignore[attr-defined]
    refusal = await p.refusal("b.tar.gz")
    assert refusal.members["OriginalStatusCode"] == 507
    assert "in use" in refusal.message
    gate.set()
    await busy


async def test_a_model_too_wide_for_an_instance(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=99 * MB))
    (server,) = p.servers
    server.memory = 120 * MB
    for _ in range(2):
        refusal = await p.refusal()
        assert refusal.members["OriginalStatusCode"] == 507
        assert "it needs about 120 MB of memory, and an instance has 99 MB" in refusal.message
        assert not server.holds("a.tar.gz")
    assert server.count("load", "a.tar.gz") == 1  # what was measured is remembered
    server.memory = 60 * MB
    p.put("a.tar.gz")  # another object: nothing is known of it
    assert (await p.invoke()).body == b"i-0!"


async def test_a_model_whose_weights_exceed_an_instance_is_not_even_tried(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=20_000))
    p.store.put("demo/wide", archive(weights=bytes(range(200)) * 120))
    assert "of memory, and an instance has" in (await p.refusal("wide")).message
    assert p.servers[0].count("load", "wide") == 0


async def test_an_estimate_alone_refuses_no_model(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=99 * MB))
    assert (await p.invoke()).body == b"i-0!"


async def test_a_small_model_is_expected_to_take_what_its_like_took(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=190 * MB))
    p.servers[0].memory = 60 * MB
    for name in ("a.tar.gz", "b.tar.gz", "c.tar.gz"):  # 100 MB each would leave room for one
        await p.invoke(name)
    assert len(p.fleets.describe("ep", "cfg")[0]["models"]) == 3


async def test_a_model_that_grows_is_measured_again(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=300 * MB))
    p.servers[0].memory = 90 * MB
    for name in ("a.tar.gz", "b.tar.gz"):
        await p.invoke(name)
    p.servers[0].memory = 220 * MB
    for _ in range(7):
        await p.invoke("b.tar.gz")
    await until(lambda: not p.servers[0].holds("a.tar.gz"))
    row = p.fleets.describe("ep", "cfg")[0]
    assert row["models"] == [{"target_model": "b.tar.gz", "memory_mb": 220, "in_flight": 0}]


async def test_copies_that_nobody_needs_any_more_are_given_up(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, spread_at=2), instance_count=2)
    await p.invoke()
    gates = [server.gate("invoke", "a.tar.gz") for server in p.servers]
    held = [asyncio.create_task(p.invoke()) for _ in range(4)]
    await until(lambda: p.servers[1].holds("a.tar.gz"))
    for gate in gates:
        gate.set()
    await asyncio.gather(*held)
    (fleet,) = p.fleets._entries["ep", "cfg"].fleets
    fleet.scale_in()  # the crowd was there since the last look
    await settle()
    assert all(server.holds("a.tar.gz") for server in p.servers)
    fleet.scale_in()
    await settle()
    assert [server.holds("a.tar.gz") for server in p.servers].count(True) == 1
    fleet.scale_in()
    await settle()
    assert [server.holds("a.tar.gz") for server in p.servers].count(True) == 1


async def test_two_endpoints_share_the_machine(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=None, server_memory=0))
    p.fleets._shares._memory = lambda: 500 * MB  # four fifths of it are for models
    p.fleets._shares.divide()
    for name in ("a.tar.gz", "b.tar.gz", "c.tar.gz"):
        await p.invoke(name)
    assert p.fleets.describe("ep", "cfg")[0]["memory_limit_mb"] == 400
    await p.fleets.start((spec(endpoint="other"),))
    await until(lambda: not p.servers[0].holds("a.tar.gz"))
    rows = p.fleets.describe("ep", "cfg") + p.fleets.describe("other", "cfg")
    assert [row["memory_limit_mb"] for row in rows] == [200, 200]
    assert len(rows[0]["models"]) == 2
    await p.fleets.stop("other", "cfg")
    assert p.fleets.describe("ep", "cfg")[0]["memory_limit_mb"] == 400


async def test_measured_memory_counts(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, memory=300 * MB))
    p.servers[0].memory = 160 * MB
    await p.invoke("a.tar.gz")
    await p.invoke("b.tar.gz")
    await settle()
    row = p.fleets.describe("ep", "cfg")[0]
    assert row["models"] == [{"target_model": "b.tar.gz", "memory_mb": 160, "in_flight": 0}]


async def test_507_at_load_evicts_and_tries_again(plane: MakePlane) -> None:
    p = await plane()
    (server,) = p.servers
    await p.invoke("a.tar.gz")
    await p.invoke("b.tar.gz")
    server.will("load", "c.tar.gz", NO_MEMORY)
    assert (await p.invoke("c.tar.gz")).body == b"i-0!"
    assert not server.holds("a.tar.gz")
    assert server.holds("b.tar.gz")
    assert server.count("unload", "c.tar.gz") == 1  # the ghost


async def test_507_with_nothing_left_to_evict(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].will("load", "a.tar.gz", NO_MEMORY)
    refusal = await p.refusal()
    assert refusal.members["OriginalStatusCode"] == 507
    assert "not enough memory" in refusal.message
    assert (await p.invoke()).body == b"i-0!"
    assert p.store.asked["demo/a.tar.gz"] == 1  # the files were good


async def test_a_model_that_emptied_an_instance_in_vain_does_so_once(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke("b.tar.gz")
    p.servers[0].will("load", "a.tar.gz", NO_MEMORY, NO_MEMORY)
    assert "not enough memory" in (await p.refusal("a.tar.gz")).message
    assert not p.servers[0].holds("b.tar.gz")
    await p.invoke("b.tar.gz")
    assert "an instance that held nothing else" in (await p.refusal("a.tar.gz")).message
    assert p.servers[0].holds("b.tar.gz")
    p.store.put("demo/a.tar.gz", archive())
    assert (await p.invoke("a.tar.gz")).body == b"i-0!"


async def test_a_load_that_failed_and_is_still_registered_is_loaded_anew(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].will("load", "a.tar.gz", CONFLICT, CONFLICT)
    assert (await p.invoke("a.tar.gz")).body == b"i-0!"
    assert p.servers[0].calls["load", model_name("a.tar.gz")] == 3


async def test_507_at_invoke_evicts_once(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke("b.tar.gz")
    p.servers[0].will("invoke", "a.tar.gz", NO_MEMORY)
    assert (await p.invoke("a.tar.gz")).body == b"i-0!"
    assert not p.servers[0].holds("b.tar.gz")
    p.servers[0].will("invoke", "a.tar.gz", NO_MEMORY, NO_MEMORY)
    assert (await p.refusal("a.tar.gz")).members["OriginalStatusCode"] == 507


async def test_the_disk_budget(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, disk=25_000))
    for name in ("x", "y", "z"):
        p.store.put(f"demo/{name}", archive(weights=bytes(range(200)) * 40))
        await p.invoke(name)
    row = p.fleets.describe("ep", "cfg")[0]
    assert row["on_disk"] == ["y", "z"]
    p.store.put("demo/big", archive(weights=bytes(range(200)) * 200))
    assert "of disk" in (await p.refusal("big")).message


async def test_an_archive_that_hides_its_size(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, disk=2_500_000))
    p.store.put("demo/first", archive(weights=bytes(1_000_000)))
    await p.invoke("first")
    # two gzip members: the trailer tells of the second only
    tar = gzip.decompress(archive(weights=bytes(range(250)) * 8_000))
    p.store.put("demo/two", gzip.compress(tar[:-5000]) + gzip.compress(tar[-5000:]))
    assert (await p.invoke("two")).body == b"i-0!"
    assert p.fleets.describe("ep", "cfg")[0]["on_disk"] == ["two"]


async def test_no_cache(plane: MakePlane) -> None:
    p = await plane(cache_enabled=False)
    assert (await p.invoke()).body == b"i-0!"
    await until(lambda: not p.fleets.describe("ep", "cfg")[0]["on_disk"])
    assert not p.servers[0].holds("a.tar.gz")
    assert (await p.invoke()).body == b"i-0!"
    assert p.store.asked["demo/a.tar.gz"] == 2


async def test_files_are_not_deleted_while_their_model_is_loaded_anew(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, disk=25_000))
    for name in ("x", "y"):
        p.store.put(f"demo/{name}", archive(weights=bytes(range(200)) * 40))
        await p.invoke(name)
    unloading = p.servers[0].gate("unload", "x")
    p.store.put("demo/z", archive(weights=bytes(range(200)) * 80))
    third = asyncio.create_task(p.invoke("z"))  # needs the disk of both
    await until(lambda: p.servers[0].count("unload", "x") == 1)
    first = asyncio.create_task(p.invoke("x"))
    await settle()
    unloading.set()
    assert [a.body for a in await asyncio.gather(third, first)] == [b"i-0!"] * 2
    assert p.fleets.describe("ep", "cfg")[0]["disk_used_mb"] == 0


async def test_a_full_disk_takes_the_files_of_others_first(
    plane: MakePlane,
) -> None:
    p = await plane()
    for name in ("a.tar.gz", "b.tar.gz"):
        await p.invoke(name)
    fails = [DiskFullError("does not fit: the disk is full")] * 3

    (fleet,) = p.fleets._entries["ep", "cfg"].fleets
    whole = fleet._loader._unpacker  # type: ignore[attr-defined]

    def unpack(*arguments: Any) -> Any:
        if fails:
            raise fails.pop()
        return whole(*arguments)

    fleet._loader._unpacker = unpack  # type: ignore[attr-defined]
    refusal = await p.refusal("c.tar.gz")
    assert refusal.members["OriginalStatusCode"] == 507
    assert "the disk of this machine is full" in refusal.message
    assert p.fleets.describe("ep", "cfg")[0]["on_disk"] == []
    assert (await p.invoke("c.tar.gz")).body == b"i-0!"


# faults


async def test_a_worker_killed_while_idle(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke()
    p.servers[0].kill_worker("a.tar.gz")
    assert (await p.invoke()).body == b"i-0!"
    assert p.servers[0].count("unload", "a.tar.gz") == 1
    assert p.servers[0].count("load", "a.tar.gz") == 2
    assert p.store.asked["demo/a.tar.gz"] == 1


async def test_a_worker_killed_under_requests_that_hang(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    held = [asyncio.create_task(p.invoke()) for _ in range(3)]
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 4)
    p.servers[0].kill_worker("a.tar.gz")
    await until(lambda: p.servers[0].count("load", "a.tar.gz") == 2)
    gate.set()
    assert [answer.body for answer in await asyncio.gather(*held)] == [b"i-0!"] * 3


async def test_a_request_is_tried_again_after_a_death_and_blamed_after_two(
    plane: MakePlane,
) -> None:
    p = await plane()
    p.servers[0].will("invoke", "a.tar.gz", DIED)
    assert (await p.invoke()).body == b"i-0!"
    p.servers[0].will("invoke", "a.tar.gz", DIED, DIED)
    refusal = await p.refusal()
    assert refusal.code == "ModelError"
    assert 'server error (500) from primary with message "Worker died.' in refusal.message
    assert (await p.invoke()).body == b"i-0!"


@pytest.mark.parametrize("answer", [UNKNOWN, NO_WORKER])
async def test_a_model_that_the_server_lost(plane: MakePlane, answer: Answer) -> None:
    p = await plane()
    await p.invoke()
    p.servers[0].will("invoke", "a.tar.gz", answer)
    p.servers[0].dead.update(p.servers[0].loaded)
    assert (await p.invoke()).body == b"i-0!"
    assert p.servers[0].count("load", "a.tar.gz") == 2


async def test_a_dead_server_costs_nothing_where_another_serves(plane: MakePlane) -> None:
    p = await plane(instance_count=2)
    await p.invoke()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    held = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 2)
    p.servers[0].fall()
    assert (await held).body == b"i-1!"
    assert (await p.invoke()).body == b"i-1!"
    gate.set()


async def test_with_one_instance_the_request_waits_for_the_restart(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke()
    p.servers[0].fall()
    waiting = asyncio.create_task(p.invoke())
    await settle()
    p.servers[0].rise()
    assert (await waiting).body == b"i-0!"
    assert p.store.asked["demo/a.tar.gz"] == 1


async def test_a_server_that_dies_during_a_load(plane: MakePlane) -> None:
    p = await plane(instance_count=2)
    p.servers[0].gate("load", "a.tar.gz")
    waiting = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("load", "a.tar.gz") == 1)
    p.servers[0].fall()
    assert (await waiting).body == b"i-1!"


async def test_no_instance_left(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].fall()
    p.servers[0].state = "Failed"
    refusal = await p.refusal()
    assert (refusal.code, refusal.status) == ("ServiceUnavailable", 503)


async def test_lost_requests_are_not_tried_for_ever(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].will("invoke", "a.tar.gz", *[WireError("connection lost")] * 9)
    assert "The request was lost: connection lost" in (await p.refusal()).message
    assert p.servers[0].count("invoke", "a.tar.gz") == 5


# life


async def test_a_fleet_that_does_not_come_up_is_stopped(tmp_path: Path) -> None:
    p = Plane(tmp_path)

    def failing(spec: FleetSpec, share: int) -> FakeServer:
        server = p._server(spec, share)
        server.failing = "no Java" if len(p.servers) == 2 else None
        return server

    p.fleets = LocalFleets(tmp_path, p.store, QUICK, make_server=failing)
    with pytest.raises(FleetFailed, match="no Java"):
        await p.start(instance_count=2)
    assert [server.state for server in p.servers] == ["Stopped", "Stopped"]
    assert p.fleets.describe("ep", "cfg") == []


async def test_single_model_mode_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(FleetFailed, match="MultiModel only"):
        await Plane(tmp_path).start(multi_model=False)


async def test_stop_waits_for_requests(plane: MakePlane) -> None:
    p = await plane()
    await p.invoke()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    held = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 2)
    stopping = asyncio.create_task(p.fleets.stop("ep", "cfg"))
    await settle()
    assert not stopping.done()
    gate.set()
    assert (await held).body == b"i-0!"
    await stopping
    assert p.servers[0].state == "Stopped"
    await p.fleets.stop("ep", "cfg")  # unknown is fine


async def test_stop_during_the_start(tmp_path: Path) -> None:
    p = Plane(tmp_path)
    never = asyncio.Event()

    class Slow(FakeServer):
        async def start(self) -> None:
            await never.wait()

    def slow(spec: FleetSpec, share: int) -> FakeServer:
        p.servers.append(Slow(0, tmp_path))
        return p.servers[-1]

    p.fleets = LocalFleets(tmp_path, p.store, QUICK, make_server=slow)
    starting = asyncio.create_task(p.start())
    await until(lambda: bool(p.servers))
    await settle()
    await p.fleets.stop("ep", "cfg")
    with pytest.raises(FleetFailed, match="called off"):
        await starting
    assert p.servers[0].state == "Stopped"


async def test_close_calls_off_loads_and_waiting_requests(plane: MakePlane) -> None:
    p = await plane()
    p.servers[0].gate("load", "a.tar.gz")
    waiting = asyncio.create_task(p.refusal())
    await until(lambda: p.servers[0].count("load", "a.tar.gz") == 1)
    await p.fleets.close()
    assert (await waiting).code == "ServiceUnavailable"
    with pytest.raises(FleetFailed, match="shutting down"):
        await p.start()


async def test_variants_share_the_traffic_by_weight(tmp_path: Path) -> None:
    p = Plane(tmp_path)
    p.put("a.tar.gz")
    await p.fleets.start((spec(variant="one", weight=0.0), spec(variant="two", weight=1.0)))
    answers = [await p.invoke() for _ in range(5)]
    assert {answer.variant for answer in answers} == {"two"}
