"""The data plane with real Multi Model Server, real MXNet and real models.

All of it runs with instances that are plain processes, and with containers of the real image.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import sys
import tarfile
import textwrap
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio
from data_plane import (
    NETWORKS,
    Containers,
    Folder,
    Plane,
    alive,
    cat,
    close_to,
    environment,
    kill,
    marked,
    names,
    offspring,
    pack,
    spec,
    store,
    until,
)

from mmectl.frameworks.mxnet.sample import write_model
from mmectl.local.fleet.data_plane import DataPlane, RouterSettings
from mmectl.local.fleet.errors import model_name
from mmectl.local.instance.workspace import RUN_MARK
from mmectl.local.values import (
    AwsError,
    FleetFailed,
    Image,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
__all__ = ["cat", "store"]


@dataclass(frozen=True)
class Kind:
    """What instances run as, the image that they run, and what else a platform is told."""

    runtime: str
    image: Image
    environment: dict[str, str]

    def fleets(
        self, folder: Path, store: Folder, settings: RouterSettings | None = None
    ) -> DataPlane:
        return DataPlane(
            folder, store, settings, runtime=self.runtime, environment=self.environment
        )

    def plane(self, fleets: DataPlane, cat: bytes, folder: Path) -> Plane:
        return (Containers if self.runtime == "docker" else Plane)(fleets, cat, folder)

    def left(self, pid: int) -> list[int]:
        """All processes of the instance whose first process that is."""
        return offspring(pid) if self.runtime == "docker" else marked(environment(pid, RUN_MARK))


@pytest.fixture(scope="module")
def kind(runtime: str, request: pytest.FixtureRequest) -> Kind:
    """The project's own image, built where it is not."""
    if runtime == "docker":
        engine = request.getfixturevalue("docker_engine")
        image = Image(request.getfixturevalue("container_image"), "", ())
        return Kind(runtime, image, {**os.environ, **engine.environment})
    return Kind(runtime, request.getfixturevalue("serving_image"), dict(os.environ))


@pytest.fixture(scope="module")
def golden(shared_models: Path) -> dict[str, dict[str, list[str]]]:
    return json.loads((shared_models / "golden.json").read_text())["outputs"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(
    kind: Kind, store: Folder, cat: bytes, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Plane]:
    """Two instances that serve for the whole module."""
    folder = tmp_path_factory.mktemp("fleets")
    fleets = kind.fleets(folder, store)
    await fleets.start((spec(kind.image),))
    yield kind.plane(fleets, cat, folder)
    await fleets.close()


@contextlib.asynccontextmanager
async def single(
    kind: Kind, store: Folder, cat: bytes, folder: Path, settings: RouterSettings
) -> AsyncIterator[Plane]:
    fleets = kind.fleets(folder / "f", store, settings)
    await fleets.start((spec(kind.image, instance_count=1),))
    try:
        yield kind.plane(fleets, cat, folder)
    finally:
        await fleets.close()


async def test_answers_are_the_known_ones(plane: Plane, golden: dict, shared_images: Path) -> None:
    for network in NETWORKS:
        for picture in ("cat.jpg", "dog.jpg"):
            body = (shared_images / picture).read_bytes()
            lines = await plane.invoke(f"{network}.tar.gz", body)
            assert close_to(lines, golden[network][picture])


async def test_eight_clients_cause_one_load(plane: Plane) -> None:
    answers = await asyncio.gather(*(plane.invoke("sub/model_9.tar.gz") for _ in range(8)))
    assert all(answer == answers[0] for answer in answers)
    # eight at once are many: a second instance may load it too, for those to come
    await until(lambda: not any(row["loading"] for row in plane.rows()))

    def logged_once(row: dict) -> bool:
        loaded = sum(m["target_model"] == "sub/model_9.tar.gz" for m in row["models"])
        lines = [line for line in plane.log(row) if model_name("sub/model_9.tar.gz") in line]
        return sum("loaded" in line for line in lines) == loaded

    await until(lambda: all(map(logged_once, plane.rows())))  # a load is logged when there is time


async def test_many_models_spread_over_both_instances(plane: Plane) -> None:
    for number in range(10):
        await plane.invoke(f"sub/model_{number}.tar.gz")
    counts = [len(row["models"]) for row in plane.rows()]
    assert sum(counts) >= 10
    assert abs(counts[0] - counts[1]) <= 2
    odd: list[dict] = []

    def usual() -> bool:
        odd[:] = [m for row in plane.rows() for m in row["models"] if not 8 < m["memory_mb"] < 80]
        return not odd

    # model_9 has two processes for a while: eight clients asked it at once
    await until(usual, told=odd)


async def test_a_missing_object_and_a_bad_archive(plane: Plane, store: Folder) -> None:
    with pytest.raises(AwsError, match=r"no object s3://models/demo/none\.tar\.gz"):
        await plane.invoke("none.tar.gz")
    store.put("bad.tar.gz", b"this is no archive")
    with pytest.raises(AwsError, match="not gzip"):
        await plane.invoke("bad.tar.gz")


async def test_a_model_that_cannot_be_loaded_says_why(plane: Plane, store: Folder) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("readme.txt")
        tar.addfile(info, io.BytesIO())
    store.put("hollow.tar.gz", out.getvalue())
    with pytest.raises(AwsError, match="Failed to load model hollow") as caught:
        await plane.invoke("hollow.tar.gz")
    assert "symbol.json" in caught.value.message


async def test_a_model_that_ends_its_worker_says_which_operator(
    plane: Plane, store: Folder, tmp_path: Path
) -> None:
    write_model(tmp_path / "m")
    path = tmp_path / "m" / "smoke-symbol.json"
    symbol = json.loads(path.read_text())
    symbol["nodes"][4].update(op="_onehot_encode", inputs=[[0, 0, 0], [0, 0, 0]])
    path.write_text(json.dumps(symbol))
    store.put("deadly.tar.gz", pack(tmp_path / "m"))
    with pytest.raises(AwsError, match="in the operator _onehot_encode of prob") as caught:
        await plane.invoke("deadly.tar.gz")
    assert "Failed to load model deadly.tar.gz: MXNet ended the process" in caught.value.message


async def test_a_payload_that_is_no_image_is_the_clients_error(plane: Plane) -> None:
    with pytest.raises(AwsError, match=r"client error \(4\d\d\)") as caught:
        await plane.invoke("squeezenet_v1.0.tar.gz", b"no image")
    assert caught.value.status == 424
    assert await plane.invoke("squeezenet_v1.0.tar.gz")


async def test_a_killed_worker(plane: Plane) -> None:
    target = "sub/model_0.tar.gz"
    expected = await plane.invoke(target)
    (worker,) = plane.workers(target)
    kill(worker)
    assert await plane.invoke(target) == expected


async def test_a_killed_worker_and_the_fork_server(plane: Plane) -> None:
    target = "sub/model_1.tar.gz"
    expected = await plane.invoke(target)
    kill(*plane.workers(target), *plane.processes(plane.holder(target), "prefork"))
    assert await plane.invoke(target) == expected


async def test_a_worker_killed_while_it_loads(plane: Plane, store: Folder) -> None:
    store.put("young.tar.gz", (store.folder / "models/demo/sub/model_0.tar.gz").read_bytes())
    waiting = asyncio.create_task(plane.invoke("young.tar.gz"))
    while not (newborn := plane.named(model_name("young.tar.gz"))):
        await asyncio.sleep(0)
        assert not waiting.done()
    kill(*newborn)
    assert await asyncio.wait_for(waiting, 45)  # the server alone would notice after a minute


async def test_a_worker_killed_under_requests(plane: Plane) -> None:
    target = "sub/model_2.tar.gz"
    expected = await plane.invoke(target)
    held = [asyncio.create_task(plane.invoke(target)) for _ in range(4)]
    await asyncio.sleep(0.02)
    kill(*plane.workers(target))
    assert await plane.invoke(target) == expected
    for answer in await asyncio.gather(*held, return_exceptions=True):
        assert answer == expected or isinstance(answer, AwsError)


@pytest.mark.parametrize("part", ["java", "entrypoint.py"])
async def test_a_killed_server_while_another_instance_serves(plane: Plane, part: str) -> None:
    target = "sub/model_3.tar.gz"
    expected = await plane.invoke(target)
    row = plane.holder(target)
    before = plane.all(row)
    kill(*plane.processes(row, part))
    assert await plane.invoke(target) == expected
    assert plane.holder(target)["instance_id"] != row["instance_id"]
    await until(lambda: all(r["state"] == "InService" for r in plane.rows()))
    await until(lambda: not alive(before))
    assert sum(r["restarts"] for r in plane.rows()) >= 1


async def test_a_killed_server_with_nobody_else_to_serve(
    kind: Kind, store: Folder, cat: bytes, tmp_path: Path
) -> None:
    async with single(kind, store, cat, tmp_path, RouterSettings()) as plane:
        expected = await plane.invoke("squeezenet_v1.1.tar.gz")
        (row,) = plane.rows()
        kill(*plane.processes(row, "java"))
        assert await plane.invoke("squeezenet_v1.1.tar.gz") == expected
        (row,) = plane.rows()
        kill(row["pid"])
        assert await plane.invoke("squeezenet_v1.1.tar.gz") == expected


async def test_a_small_memory_budget_evicts(
    kind: Kind, store: Folder, cat: bytes, tmp_path: Path
) -> None:
    # room for two models of about 35 MB; the others are expected to take what the first one took
    settings = RouterSettings(memory=85 << 20)
    async with single(kind, store, cat, tmp_path, settings) as plane:
        for number in (0, 1, 2):
            assert await plane.invoke(f"sub/model_{number}.tar.gz")
        (row,) = plane.rows()
        assert [m["target_model"][-8] for m in row["models"]] == ["1", "2"]
        assert row["memory_used_mb"] <= 85
        assert len(plane.processes(row, "model_service_worker")) == 2
        assert all(line.split(" ")[0].isdigit() for line in plane.log(row))
        left = plane.all(row)
    assert not alive(left)
    assert set(names(tmp_path / "f")) - {"engine.json"} == {"logs"}


# a server of somebody else's, that does not heed SIGTERM; or one that never serves
STUBBORN = """
import http.server, os, signal, socket, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600 if "NEVER" in os.environ else 0)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "14")
        self.end_headers()
        self.wfile.write(b'{"models": []}')
    def address_string(self):
        return "somebody"
address = os.environ.get("MMECTL_BIND_ADDRESS", "0.0.0.0")
if address.startswith("unix:"):
    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_UNIX
        def server_bind(self):
            if os.path.exists(self.server_address):
                os.unlink(self.server_address)
            self.socket.bind(self.server_address)
    Server(address[5:], Handler).serve_forever()
port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.ThreadingHTTPServer((address, port), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def stubborn(
    kind: Kind, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Image:
    if kind.runtime == "process":
        return Image("r", "d", (sys.executable, "-c", STUBBORN))
    engine = request.getfixturevalue("docker_engine")
    context = tmp_path_factory.mktemp("stubborn")
    (context / "stubborn.py").write_text(STUBBORN)
    (context / "Dockerfile").write_text(
        f'FROM {engine.base_image}\nCOPY stubborn.py /\nENTRYPOINT ["python3", "/stubborn.py"]\n'
    )
    engine.run("build", "-q", "-t", "stubborn:1", context)
    return Image("stubborn:1", "", ())


async def test_a_server_that_ignores_sigterm_is_killed(
    kind: Kind, stubborn: Image, store: Folder, tmp_path: Path
) -> None:
    assert RouterSettings().stop == 30  # as SageMaker; waiting for that is too long here
    fleets = kind.fleets(tmp_path, store, RouterSettings(stop=0.5))
    await fleets.start((spec(stubborn, instance_count=1),))
    (row,) = fleets.describe("ep", "cfg")
    left = kind.left(cast("int", row["pid"]))
    assert alive(left)
    began = time.monotonic()
    await fleets.close()
    assert 0.5 < time.monotonic() - began < 30  # that is, by the setting
    assert not alive(left)


async def test_a_server_that_never_answers_is_given_up_in_time(
    kind: Kind, stubborn: Image, store: Folder, tmp_path: Path
) -> None:
    assert spec(stubborn).startup_timeout == 240  # SageMaker's 4 minutes
    fleets = kind.fleets(tmp_path, store, RouterSettings(stop=0.1))
    never = spec(stubborn, instance_count=1, startup_timeout=2.0, environment={"NEVER": "1"})
    with pytest.raises(FleetFailed) as caught:
        await asyncio.wait_for(fleets.start((never,)), 60)
    assert "AllTraffic did not pass the ping health check" in caught.value.reason
    assert "No answer from the server within 2 s" in caught.value.reason
    assert set(names(tmp_path)) - {"engine.json"} == {"logs"}
    await fleets.close()


async def test_a_server_that_does_not_start_says_why(store: Folder, tmp_path: Path) -> None:
    script = "print('starting'); raise RuntimeError('no Java found')"
    broken = Image("r", "d", (sys.executable, "-c", script))
    fleets = DataPlane(tmp_path, store, RouterSettings(backoff=0.01))
    with pytest.raises(FleetFailed) as caught:
        await fleets.start((spec(broken),))
    assert "did not pass the ping health check" in caught.value.reason
    assert "RuntimeError: no Java found" in caught.value.reason
    assert names(tmp_path) == ["logs"]


async def test_a_killed_platform_leaves_no_process(
    kind: Kind, tmp_path: Path, store: Folder
) -> None:
    program = f"""
        import asyncio, os
        from pathlib import Path
        from mmectl.local.fleet.data_plane import DataPlane
        from mmectl.local.values import FleetSpec, Image
        image = {kind.image!r}
        async def main():
            fleets = DataPlane(Path({str(tmp_path)!r}), None, runtime={kind.runtime!r})
            await fleets.start(
                (FleetSpec("ep", "cfg", "v", image, {{}}, "ml.m5.xlarge", 1, "b", "p/"),)
            )
            print(fleets.describe("ep", "cfg")[0]["pid"], flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """
    platform = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(program),
        stdout=asyncio.subprocess.PIPE,
        env=kind.environment,
    )
    assert platform.stdout is not None
    pid = int(await platform.stdout.readline())
    left = kind.left(pid)
    assert len(left) >= 2
    platform.kill()
    await platform.wait()
    await until(lambda: not alive(left))
    # the next platform clears the directories
    fleets = kind.fleets(tmp_path, store)
    await fleets.start((spec(kind.image, instance_count=1),))
    assert len(set(names(tmp_path)) - {"engine.json"}) == 2  # the logs and the new instance
    await fleets.close()
