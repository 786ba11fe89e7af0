"""Images of somebody else, whose servers know ports alone: only the platform reaches them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest
import pytest_asyncio
from data_plane import Folder, Plane, group, pack, spec, until
from lab import Lab
from own_server import TCP_ONLY
from runtime_fixtures import engine, surroundings

from mmectl.images import container_smoke
from mmectl.local.fleet.data_plane import DataPlane
from mmectl.local.instance import procfs
from mmectl.local.instance.docker_cli import Engine
from mmectl.local.values import FleetFailed, Image, InvokeRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["engine", "surroundings"]

DOCKERFILE = """ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY server.py /
ENTRYPOINT ["python3", "/server.py"]
"""
NOBODY = 65534
GROUP = 54321  # stands for the group `docker`


ELSEBODY = """if True:
    import os, socket, sys
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    try:
        socket.socket(socket.AF_UNIX).connect(sys.argv[1])
    except OSError as error:
        print(error.errno)"""


@pytest.fixture(scope="module")
def foreign(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> str:
    context = tmp_path_factory.mktemp("foreign")
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "server.py").write_text(TCP_ONLY)
    base = f"BASE_IMAGE={lab.base_image}"
    lab.run("build", "-q", "-t", "foreign:1", "--build-arg", base, context)
    return "foreign:1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(
    foreign: str, surroundings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Plane]:
    folder, store = tmp_path_factory.mktemp("fleets"), Folder(tmp_path_factory.mktemp("store"))
    (folder / "model").mkdir()
    (folder / "model" / "words.txt").write_text("hello")
    packed = pack(folder / "model")
    for number in range(3):
        store.put(f"m{number}.tar.gz", packed)
    fleets = DataPlane(folder, store, runtime="docker", environment=surroundings)
    await fleets.start((spec(Image(foreign, "", ()), instance_count=1),))
    yield Plane(fleets, b"", folder)
    await fleets.close()
    assert Engine(surroundings).of(folder) == []


async def asked(plane: Plane, target: str = "m0.tar.gz", body: bytes = b"x") -> dict:
    request = InvokeRequest(body, "text/plain", target_model=target)
    return json.loads((await plane.fleets.invoke("ep", "cfg", request)).body)


def shown(lab: Lab, engine: Engine, plane: Plane) -> list[dict]:
    return json.loads(lab.run("container", "inspect", *engine.of(plane.folder)))


def connecting(path: str) -> str:
    """What another user of this machine gets who connects to a socket."""
    code = [sys.executable, "-c", ELSEBODY, path]
    return subprocess.run(code, capture_output=True, text=True, check=True).stdout.strip()


def network(pid: int) -> str:
    """Which network a process is in."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115 - it is not a path
    return ""


def table(pid: int, name: str) -> list[str]:
    """One of the kernel's tables of the network of a process."""
    return Path(f"/proc/{pid}/net/{name}").read_text().splitlines()


async def test_it_answers(plane: Plane) -> None:
    answer = await asked(plane)
    assert answer["files"] == ["words.txt"]
    assert answer["network"] != network(os.getpid())
    assert (await asked(plane, body=bytes(5 << 20)))["bytes"] == 5 << 20


async def test_it_has_no_network_but_a_loopback_interface(
    plane: Plane, lab: Lab, engine: Engine
) -> None:
    (row,) = plane.rows()
    interfaces = table(row["pid"], "dev")[2:]
    assert [line.partition(":")[0].strip() for line in interfaces] == ["lo"]
    server, relay = sorted(shown(lab, engine, plane), key=lambda one: one["Name"])
    assert server["HostConfig"]["NetworkMode"] == f"container:{relay['Id']}"
    assert relay["HostConfig"]["NetworkMode"] == "none"
    for one in (server, relay):
        assert not one["HostConfig"]["PortBindings"]
        assert not one["NetworkSettings"]["IPAddress"]
    assert relay["HostConfig"]["ReadonlyRootfs"]
    assert relay["HostConfig"]["CapDrop"] == ["ALL"]
    assert {m["Destination"] for m in relay["Mounts"] if m["RW"]} == {"/run/mmectl"}
    assert not [m for m in server["Mounts"] if m["Destination"] == "/run/mmectl"]


async def test_nobody_else_reaches_it(plane: Plane) -> None:
    (row,) = plane.rows()
    inside = row["pid"]
    # it listens for everybody, on 0.0.0.0:8080; nobody is there but the two containers
    assert any(line.split()[1] == "00000000:1F90" for line in table(inside, "tcp")[1:])
    there = {pid for pid in procfs.pids() if network(pid) == network(inside)}
    groups = {group(pid) for pid in there}
    assert len(groups) == 2
    assert network(os.getpid()) != network(inside)
    # and to the socket that leads there nobody may connect
    assert connecting(row["socket"]) == str(errno.EACCES)


async def test_a_relay_that_dies_is_replaced(plane: Plane, lab: Lab, engine: Engine) -> None:
    assert await asked(plane)
    restarts = plane.rows()[0]["restarts"]
    names = [one["Name"] for one in shown(lab, engine, plane)]
    lab.run("kill", next(name for name in names if name.endswith("-relay")).lstrip("/"))
    await until(lambda: plane.rows()[0]["restarts"] > restarts, 60)
    await until(lambda: plane.rows()[0]["state"] == "InService", 60)
    assert (await asked(plane, "m1.tar.gz"))["files"] == ["words.txt"]
    assert not {one["Name"] for one in shown(lab, engine, plane)} & set(names)


async def test_a_server_that_dies_is_replaced_with_its_relay(
    plane: Plane, lab: Lab, engine: Engine
) -> None:
    restarts = plane.rows()[0]["restarts"]
    names = [one["Name"].lstrip("/") for one in shown(lab, engine, plane)]
    lab.run("kill", next(name for name in names if not name.endswith("-relay")))
    await until(lambda: plane.rows()[0]["restarts"] > restarts, 60)
    await until(lambda: plane.rows()[0]["state"] == "InService", 60)
    assert (await asked(plane, "m2.tar.gz"))["files"] == ["words.txt"]
    assert len(engine.of(plane.folder)) == 2


async def test_without_a_relay_it_is_refused(
    foreign: str, surroundings: dict[str, str], tmp_path: Path
) -> None:
    """As with an engine that does not see this machine's Python."""
    real = shutil.which("docker", path=surroundings["PATH"])
    wrapper, script = tmp_path / "bin", tmp_path / "bin" / "docker"
    wrapper.mkdir()
    refused = 'case "$*" in *--only*) echo no such mount; exit 125;; esac'
    script.write_text(f'#!/bin/sh\n{refused}\nexec {real} "$@"\n')
    script.chmod(0o755)
    environment = {**surroundings, "PATH": f"{wrapper}:{surroundings['PATH']}"}
    fleets = DataPlane(tmp_path, None, runtime="docker", environment=environment)
    try:
        with pytest.raises(FleetFailed, match="only the platform reaches: no such mount"):
            await fleets.start((spec(Image(foreign, "", ()), instance_count=1),))
    finally:
        await fleets.close()
    assert Engine(surroundings).of(tmp_path) == []


def tried(lab: Lab, image: str) -> str:
    """How the smoke test of a build ends, whose engine is on this machine."""
    api = docker.APIClient(base_url=lab.environment["DOCKER_HOST"])
    try:
        return container_smoke.in_engine(api, image, "linux/amd64", owner="t")[0]
    finally:
        api.close()


async def test_a_build_tries_it_where_nobody_else_reaches_it(foreign: str, lab: Lab) -> None:
    # it has no program `python`, so it is not asked from inside
    assert tried(lab, foreign) == "ping, load, answer in its own words, unload"
    left = ("ps", "--all", "--quiet", "--filter", f"label={container_smoke.LABEL}=t")
    assert lab.run(*left) == ""


PLAIN = """if True:
    import asyncio, os, sys
    from pathlib import Path
    from mmectl.local.instance.docker_cli import Engine
    from mmectl.local.instance.docker_runtime import DockerRuntime, Limits
    from mmectl.local.instance.http_client import WireError
    from mmectl.local.instance.mms import Mms
    from mmectl.local.instance.process_runtime import Launch
    from mmectl.local.instance.workspace import Workspace
    from mmectl.local.values import FleetSpec, Image
    home, reference = Path(sys.argv[1]), sys.argv[2]
    async def main():
        engine = Engine(os.environ)
        image = engine.image(reference)
        spec = FleetSpec("e", "c", "v", Image(reference, "", ()), {}, "ml.m5.xlarge", 1, "b", "p/")
        launch = Launch("mmectl-plain", spec, Workspace.make(home / "i-1"), home)
        limits = Limits(256 << 20, 1, 256)
        runtime = DockerRuntime(launch, engine, image.id, limits, sockets=image.sockets)
        await runtime.start(1)
        try:
            for _ in range(200):
                try:
                    answer = await Mms(runtime.listens).ping()
                except WireError:
                    await asyncio.sleep(0.1)
                else:
                    print("ping", answer.status, os.getuid(), runtime.listens.stat().st_uid)
                    break
        finally:
            await runtime.end()
        print(engine.of(home))
    asyncio.run(main())"""


@pytest.fixture
def plain(lab: Lab, tmp_path: Path) -> Iterator[Path]:
    """A folder of a user who may use the engine by a group, as the packages of Docker set it up."""
    home = Path(lab.folder / "plain")
    home.mkdir(mode=0o700)
    os.chown(home, NOBODY, NOBODY)
    control = lab.folder / "docker.sock"
    before = control.stat()
    os.chown(control, 0, GROUP)
    control.chmod(0o660)
    lab.folder.chmod(0o711)
    (lab.folder / "client").chmod(0o755)
    yield home
    lab.folder.chmod(0o700)
    os.chown(control, before.st_uid, before.st_gid)
    shutil.rmtree(home, ignore_errors=True)


def as_nobody(home: Path, image: str, variables: dict[str, str]) -> list[str]:
    """What the program above prints, run by a plain user with the system's Python."""
    python = shutil.which("python3", path="/usr/bin")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(python), "-c", *arguments],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[GROUP],
            env=variables,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    if python is None:
        pytest.skip("no Python of the system")
    able = run("import mmectl.local.instance.docker_runtime")
    if able.returncode:
        pytest.skip(f"another user cannot run this project: {able.stderr.strip()[-200:]}")
    done = run(PLAIN, str(home), image)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


async def test_a_plain_user_of_the_engine_can_do_it(
    plain: Path, foreign: str, surroundings: dict[str, str], root: Path
) -> None:
    variables = {**surroundings, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    said = as_nobody(plain, foreign, variables)
    assert f"ping 200 {NOBODY} {NOBODY}" in said  # as whom, and whose the socket is
    assert said[-1] == "[]", said
