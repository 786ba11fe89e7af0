"""What only containers have; the rest is in test_data_plane.py, for both runtimes."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from data_plane import (
    Folder,
    Plane,
    cat,
    kill,
    spec,
    store,
    until,
)
from lab import Lab
from runtime_fixtures import engine, reference, surroundings

from mmectl.local import processes
from mmectl.local.fleet.data_plane import DataPlane, RouterSettings
from mmectl.local.instance.docker_cli import STATE_LABEL, Engine
from mmectl.local.values import FleetFailed, Image

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["cat", "engine", "reference", "store", "surroundings"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(
    reference: str,
    surroundings: dict[str, str],
    store: Folder,
    cat: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Plane]:
    """Two containers that serve for the whole module; `auto` must choose them."""
    folder = tmp_path_factory.mktemp("fleets")
    fleets = DataPlane(folder, store, environment=surroundings)
    await fleets.start((spec(Image(reference, "", ("/nowhere",))),))
    yield Plane(fleets, cat, folder)
    await fleets.close()
    assert Engine(surroundings).of(folder) == []


async def test_the_choice_is_told(plane: Plane) -> None:
    chosen = [row["runtime"] for row in plane.rows()]
    assert chosen == [{"name": "docker", "reason": "the Docker engine has the image"}] * 2


async def test_a_container_is_confined(plane: Plane, lab: Lab, engine: Engine) -> None:
    (first, _) = engine.of(plane.folder)
    shown = json.loads(lab.run("container", "inspect", first))[0]
    limits = shown["HostConfig"]
    assert not limits["PortBindings"]
    assert 0 < limits["Memory"] <= 16 << 30
    assert limits["MemorySwap"] == limits["Memory"]
    assert 0 < limits["NanoCpus"] <= min(4, os.cpu_count() or 1) * 10**9
    assert limits["PidsLimit"] > 1024
    assert limits["SecurityOpt"] == ["no-new-privileges"]
    assert not limits["Privileged"]
    mounts = {mount["Destination"]: mount["RW"] for mount in shown["Mounts"]}
    assert mounts == {"/opt/ml/models": False, "/run/mmectl": True}


@pytest.mark.parametrize("how", [("kill",), ("rm", "--force")], ids=["killed", "removed"])
async def test_a_killed_container(plane: Plane, lab: Lab, how: tuple[str, ...]) -> None:
    target = "sub/model_4.tar.gz"
    expected = await plane.invoke(target)
    restarts = sum(row["restarts"] for row in plane.rows())
    for container in Engine({**os.environ, **lab.environment}).of(plane.folder):
        lab.run(*how, container)
    assert await plane.invoke(target) == expected
    await until(lambda: all(r["state"] == "InService" for r in plane.rows()))
    assert sum(row["restarts"] for row in plane.rows()) == restarts + 2


async def test_a_killed_client_ends_its_container(plane: Plane, engine: Engine) -> None:
    before = engine.of(plane.folder)
    kill(*(p.pid for p in processes.carrying({f"MMECTL_STATE_DIR={plane.folder}"})))
    await until(lambda: not set(before) & set(engine.of(plane.folder)))
    assert await plane.invoke("sub/model_4.tar.gz")
    await until(lambda: all(r["state"] == "InService" for r in plane.rows()))


async def test_an_image_that_does_not_serve_says_why(
    lab: Lab, surroundings: dict[str, str], tmp_path: Path
) -> None:
    fleets = DataPlane(
        tmp_path, None, RouterSettings(backoff=0.01), runtime="docker", environment=surroundings
    )
    with pytest.raises(FleetFailed, match="ping health check") as caught:
        await fleets.start((spec(Image(lab.base_image, "", ()), instance_count=1),))
    assert "serve" in caught.value.reason  # there is no such program in it
    with pytest.raises(FleetFailed, match="has no image nobody:1"):
        await fleets.start((spec(Image("nobody:1", "", ())),))
    assert Engine(surroundings).of(tmp_path) == []


async def test_a_leftover_is_swept(
    lab: Lab, reference: str, surroundings: dict[str, str], tmp_path: Path, store: Folder
) -> None:
    """A container that did not heed its lifeline, when its platform was killed."""
    first = DataPlane(tmp_path, store, runtime="docker", environment=surroundings)
    await first.start((spec(Image(reference, "", ()), instance_count=1),))
    await first.close()
    lab.run(
        *("run", "--detach", f"--label={STATE_LABEL}={tmp_path}"),
        *(lab.base_image, "sleep", "600"),
    )
    engine = Engine(surroundings)
    (left,) = engine.of(tmp_path)
    fleets = DataPlane(tmp_path, store, runtime="docker", environment=surroundings)
    await fleets.start((spec(Image(reference, "", ()), instance_count=1),))
    assert len(engine.of(tmp_path)) == 1
    assert left not in engine.of(tmp_path)
    await fleets.close()
    assert engine.of(tmp_path) == []
