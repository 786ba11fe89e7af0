"""The data plane with instances that are containers of the real image."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from data_plane import (
    NETWORKS,
    Folder,
    Plane,
    alive,
    close_to,
    fill,
    kill,
    names,
    spec,
    until,
)
from lab import Lab
from runtime_fixtures import engine, reference, surroundings

from mmectl.local import processes
from mmectl.local.fleet import procs
from mmectl.local.fleet.engine import STATE_LABEL, Engine
from mmectl.local.fleet.router import LocalFleets, RouterSettings
from mmectl.local.values import AwsError, FleetFailed, Image

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["engine", "reference", "surroundings"]


@pytest.fixture(scope="module")
def store(shared_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    store = Folder(tmp_path_factory.mktemp("store"))
    fill(store, shared_models)
    return store


@pytest.fixture(scope="module")
def cat(shared_images: Path) -> bytes:
    return (shared_images / "cat.jpg").read_bytes()


class Containers(Plane):
    """A plane whose instances are containers."""

    def all(self, row: dict) -> list[int]:
        return family(row["pid"])


def family(pid: int) -> list[int]:
    """The processes of the container whose first process that is."""
    (name,) = set(re.findall(r"/([0-9a-f]{64})", Path(f"/proc/{pid}/cgroup").read_text()))
    return [pid for pid in procs.pids() if name in group(pid)]


def group(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(
    reference: str,
    surroundings: dict[str, str],
    store: Folder,
    cat: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Containers]:
    """Two containers that serve for the whole module; `auto` must choose them."""
    folder = tmp_path_factory.mktemp("fleets")
    fleets = LocalFleets(folder, store, environment=surroundings)
    await fleets.start((spec(Image(reference, "", ("/nowhere",))),))
    yield Containers(fleets, cat, folder)
    await fleets.close()
    assert Engine(surroundings).of(folder) == []


async def test_the_choice_is_told(plane: Containers) -> None:
    chosen = [row["runtime"] for row in plane.rows()]
    assert chosen == [{"name": "docker", "reason": "the Docker engine has the image"}] * 2


async def test_a_container_is_confined(plane: Containers, lab: Lab, engine: Engine) -> None:
    (first, _) = engine.of(plane.folder)
    shown = json.loads(lab.run("container", "inspect", first))[0]
    limits, (bound,) = shown["HostConfig"], shown["HostConfig"]["PortBindings"]["8080/tcp"]
    assert bound["HostIp"] == "127.0.0.1"
    assert 0 < limits["Memory"] <= 16 << 30
    assert limits["MemorySwap"] == limits["Memory"]
    assert 0 < limits["NanoCpus"] <= min(4, os.cpu_count() or 1) * 10**9
    assert limits["PidsLimit"] > 1024
    assert limits["SecurityOpt"] == ["no-new-privileges"]
    assert not limits["Privileged"]
    (mount,) = shown["Mounts"]
    assert (mount["Destination"], mount["RW"]) == ("/opt/ml/models", False)


async def test_answers_are_the_known_ones(
    plane: Containers, shared_models: Path, shared_images: Path
) -> None:
    golden = json.loads((shared_models / "golden.json").read_text())["outputs"]
    for network in NETWORKS:
        for picture in ("cat.jpg", "dog.jpg"):
            body = (shared_images / picture).read_bytes()
            lines = await plane.invoke(f"{network}.tar.gz", body)
            assert close_to(lines, golden[network][picture])


async def test_the_second_request_is_warm_and_memory_is_measured(plane: Containers) -> None:
    began = time.monotonic()
    await plane.invoke("sub/model_9.tar.gz")
    cold = time.monotonic() - began
    began = time.monotonic()
    await plane.invoke("sub/model_9.tar.gz")
    assert time.monotonic() - began < cold / 2
    assert all(40 < m["memory_mb"] < 120 for row in plane.rows() for m in row["models"])
    row = plane.holder("sub/model_9.tar.gz")
    assert any("loaded" in line for line in plane.log(row))


async def test_a_bad_archive_and_a_bad_payload(plane: Containers, store: Folder) -> None:
    store.put("bad.tar.gz", b"this is no archive")
    with pytest.raises(AwsError, match="not gzip"):
        await plane.invoke("bad.tar.gz")
    with pytest.raises(AwsError, match=r"client error \(4\d\d\)"):
        await plane.invoke("squeezenet_v1.0.tar.gz", b"no image")


@pytest.mark.parametrize("both", [False, True], ids=["worker", "worker and its server"])
async def test_a_killed_worker(plane: Containers, both: bool) -> None:
    target = f"sub/model_{int(both)}.tar.gz"
    expected = await plane.invoke(target)
    kill(*plane.workers(target)[0 if both else 1 :])
    assert await plane.invoke(target) == expected


@pytest.mark.parametrize("part", ["java", "entrypoint.py"])
async def test_a_killed_server(plane: Containers, part: str) -> None:
    target = "sub/model_3.tar.gz"
    expected = await plane.invoke(target)
    row = plane.holder(target)
    before = plane.all(row)
    kill(*plane.processes(row, part))
    began = time.monotonic()
    assert await plane.invoke(target) == expected
    assert time.monotonic() - began < 15
    await until(lambda: all(r["state"] == "InService" for r in plane.rows()))
    await until(lambda: not alive(before))


@pytest.mark.parametrize("how", [("kill",), ("rm", "--force")], ids=["killed", "removed"])
async def test_a_killed_container(plane: Containers, lab: Lab, how: tuple[str, ...]) -> None:
    target = "sub/model_4.tar.gz"
    expected = await plane.invoke(target)
    restarts = sum(row["restarts"] for row in plane.rows())
    for container in Engine({**os.environ, **lab.environment}).of(plane.folder):
        lab.run(*how, container)
    assert await plane.invoke(target) == expected
    await until(lambda: all(r["state"] == "InService" for r in plane.rows()))
    assert sum(row["restarts"] for row in plane.rows()) == restarts + 2


async def test_a_killed_client_ends_its_container(plane: Containers, engine: Engine) -> None:
    before = engine.of(plane.folder)
    kill(*(p.pid for p in processes.carrying({f"MMECTL_STATE_DIR={plane.folder}"})))
    await until(lambda: not set(before) & set(engine.of(plane.folder)))
    assert await plane.invoke("sub/model_4.tar.gz")
    await until(lambda: all(r["state"] == "InService" for r in plane.rows()))


async def test_a_small_memory_budget_evicts(
    reference: str, surroundings: dict[str, str], store: Folder, cat: bytes, tmp_path: Path
) -> None:
    # room for one loaded model (about 61 MB) and one that loads (taken for 120 MB)
    settings = RouterSettings(memory=215 << 20)
    fleets = LocalFleets(tmp_path, store, settings, runtime="docker", environment=surroundings)
    await fleets.start((spec(Image(reference, "", ()), instance_count=1),))
    plane = Containers(fleets, cat, tmp_path)
    for number in (0, 1, 2):
        assert await plane.invoke(f"sub/model_{number}.tar.gz")
    (row,) = plane.rows()
    assert [m["target_model"][-8] for m in row["models"]] == ["1", "2"]
    assert row["memory_used_mb"] <= 215
    left = plane.all(row)
    await fleets.close()
    assert not alive(left)
    assert names(tmp_path) == ["engine.json", "logs"]


async def test_an_image_that_does_not_serve_says_why(
    lab: Lab, surroundings: dict[str, str], tmp_path: Path
) -> None:
    fleets = LocalFleets(
        tmp_path, None, RouterSettings(backoff=0.01), runtime="docker", environment=surroundings
    )
    with pytest.raises(FleetFailed, match="ping health check") as caught:
        await fleets.start((spec(Image(lab.base_image, "", ()), instance_count=1),))
    assert "serve" in caught.value.reason  # there is no such program in it
    with pytest.raises(FleetFailed, match="has no image nobody:1"):
        await fleets.start((spec(Image("nobody:1", "", ())),))
    assert Engine(surroundings).of(tmp_path) == []


async def test_a_killed_platform_leaves_no_container(
    lab: Lab, reference: str, surroundings: dict[str, str], tmp_path: Path, store: Folder
) -> None:
    program = f"""
        import asyncio
        from pathlib import Path
        from mmectl.local.fleet.router import LocalFleets
        from mmectl.local.values import FleetSpec, Image
        async def main():
            fleets = LocalFleets(Path({str(tmp_path)!r}), None, runtime="docker")
            spec = FleetSpec(
                "ep", "cfg", "v", Image({reference!r}, "", ()), {{}}, "ml.m5.xlarge", 1, "b", "p/"
            )
            await fleets.start((spec,))
            print(fleets.describe("ep", "cfg")[0]["pid"], flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    platform = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(program),
        stdout=asyncio.subprocess.PIPE,
        env=surroundings,
    )
    assert platform.stdout is not None
    left = family(int(await platform.stdout.readline()))
    assert len(left) >= 2
    platform.kill()
    await platform.wait()
    engine = Engine(surroundings)
    await until(lambda: not alive(left) and not engine.of(tmp_path))
    # one that does not heed its lifeline is swept by the next platform
    label = f"--label={STATE_LABEL}={tmp_path}"
    lab.run("run", "--detach", label, lab.base_image, "sleep", "600")
    fleets = LocalFleets(tmp_path, store, runtime="docker", environment=surroundings)
    await fleets.start((spec(Image(reference, "", ()), instance_count=1),))
    assert len(engine.of(tmp_path)) == 1
    await fleets.close()
    assert engine.of(tmp_path) == []
