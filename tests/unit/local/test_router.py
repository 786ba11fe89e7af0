"""Requests through fleets of fake instances: loads, refusals in AWS's words, start and stop."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.fleet import (
    DIED,
    NO_WORKER,
    NOT_STARTED,
    FakeServer,
    archive,
    error,
    spec,
)
from fakes.planes import QUICK, MakePlane, Plane, plane, settle, until

from mmectl.local.fleet.data_plane import DataPlane
from mmectl.local.instance.http_client import Answer, AnswerTimeoutError
from mmectl.local.values import FleetFailed, FleetSpec, StoredObject

__all__ = ["plane"]


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
    assert row["models"] == [
        {"target_model": "a.tar.gz", "memory_mb": 100, "in_flight": 0, "process": "own"}
    ]


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


async def test_a_busy_model_gets_a_second_copy(plane: MakePlane) -> None:
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


@pytest.mark.parametrize("again", [True, False])
async def test_an_object_that_goes_while_it_is_fetched(plane: MakePlane, again: bool) -> None:
    p = await plane()
    find = p.store.find

    async def late(bucket: str, key: str) -> StoredObject | None:
        found = await find(bucket, key)
        if found is not None and p.store.asked[key] == 1:
            found.path.unlink()
            p.store.delete(key)
            if again:
                p.store.put(key, archive(weights=b"new"))
        return found

    p.store.find = late  # type: ignore[method-assign]
    if again:
        assert (await p.invoke()).body == b"i-0!"
    else:
        error = await p.refusal()
        assert (error.code, error.status) == ("ValidationError", 400)


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
        {"target_model": "a.tar.gz", "memory_mb": 100, "in_flight": 0, "process": "own"}
    ]


# life


async def test_a_fleet_that_does_not_come_up_is_stopped(tmp_path: Path) -> None:
    p = Plane(tmp_path)

    def failing(spec: FleetSpec, share: int) -> FakeServer:
        server = p._server(spec, share)
        server.failing = "no Java" if len(p.servers) == 2 else None
        return server

    p.fleets = DataPlane(tmp_path, p.store, QUICK, make_server=failing)
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

    p.fleets = DataPlane(tmp_path, p.store, QUICK, make_server=slow)
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


@pytest.mark.parametrize("turns", range(6))
async def test_a_stop_goes_on_although_its_caller_is_cancelled(
    plane: MakePlane, turns: int
) -> None:
    p = await plane()
    gate = p.servers[0].gate("invoke", "a.tar.gz")
    held = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 1)
    retiring = asyncio.create_task(p.fleets.stop("ep", "cfg"))
    for _ in range(turns):
        await asyncio.sleep(0)
    retiring.cancel()
    await asyncio.wait((retiring,))
    removing = asyncio.create_task(p.fleets.stop("ep", "cfg"))
    await settle()
    assert not removing.done()  # it waits for the request as well
    gate.set()
    assert (await held).body == b"i-0!"
    await asyncio.wait_for(removing, 5)
    assert p.servers[0].state == "Stopped"


async def test_at_the_close_nobody_drains_any_longer(plane: MakePlane) -> None:
    p = await plane(replace(QUICK, drain=60))
    p.servers[0].gate("invoke", "a.tar.gz")
    held = asyncio.create_task(p.invoke())
    await until(lambda: p.servers[0].count("invoke", "a.tar.gz") == 1)
    retiring = asyncio.create_task(p.fleets.stop("ep", "cfg"))
    await settle()
    retiring.cancel()
    await asyncio.wait_for(p.fleets.close(), 5)
    assert p.servers[0].state == "Stopped"
    held.cancel()
    await asyncio.wait((held, retiring))
