"""The container over HTTP: the real server, the real engine, real models where there are any."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_plane import command
from PIL import Image as Picture
from serving_fixtures import (  # noqa: F401
    ContainerServer,
    Serve,
    Server,
    serve,
    serving_image,
    started,
    taken_port,
    wait_for_words,
)

from mmectl.frameworks.mxnet.sample import picture, write_model
from mmectl.local.instance import procfs

JPEG = "image/jpeg"
JSON = "application/json"
NPY = "application/x-npy"
LINE = re.compile(r"probability=(\d\.\d{6}), class=(.+)")
WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS"


def workers(count: str) -> dict[str, Any]:
    """The setting of that many workers a model, as keyword arguments."""
    return {WORKERS: count}


NETWORKS = ("squeezenet_v1.0", "squeezenet_v1.0_retrained", "squeezenet_v1.1")


@pytest.fixture(scope="module", params=["1", "0"], ids=["warm", "cold"])
def warm(request) -> str:
    """MMECTL_WARM_WORKERS: what holds, holds for both ways to start a worker."""
    return request.param


@contextlib.contextmanager
def small_models() -> Iterator[Path]:
    """A folder with the small model `smoke`, and the same one without classes, `table`."""
    made = Path(tempfile.mkdtemp(prefix="mme"))
    for name in ("smoke", "table"):
        write_model(made / name)
    (made / "table" / "synset.txt").unlink()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def folder(warm) -> Iterator[Path]:
    with small_models() as made:
        yield made


@pytest.fixture(scope="module")
def server(serve: Serve, folder, warm) -> Iterator[Server | ContainerServer]:  # noqa: F811
    """A server with the small model `smoke` and the same one without classes, `table`.

    As a plain process and as a container.
    """
    with serve(folder, MMECTL_WARM_WORKERS=warm) as running:
        for name in ("smoke", "table"):
            assert running.load(name, folder / name)[0] == 200, running.text()
        yield running


def until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for what the server does after its answer."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def encoded(image: Picture.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_metrics_are_served_beside_the_models(server):
    status, kind, body = server.ask("GET", "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    loaded = json.loads(server.ask("GET", "/models")[2])["models"]
    assert loaded
    assert f"\nmmectl_models_loaded {len(loaded)}\n".encode() in body


@pytest.fixture(scope="module")
def networks(server, shared_models) -> Iterator[Callable[[str], None]]:
    """Loads a network where it is not loaded; they leave when all tests of the server are over."""
    loaded: set[str] = set()

    def load(name: str) -> None:
        if name not in loaded:
            status, text = server.load(name, shared_models / name)
            assert status == 200, text + server.text()
            loaded.add(name)

    yield load
    assert [server.ask("DELETE", f"/models/{name}")[0] for name in loaded] == [200] * len(loaded)


@pytest.fixture(params=NETWORKS)  # by module, pytest would start a server for each
def network(request, networks) -> str:
    networks(request.param)
    return request.param


def test_published_answers(network, server, shared_models, shared_images):
    golden = json.loads((shared_models / "golden.json").read_text())["outputs"][network]
    assert len(golden) == 5
    for name, wanted in golden.items():
        body = (shared_images / name).read_bytes()
        kind = "image/bmp" if name.endswith("bmp") else JPEG
        status, content_type, answer = server.invoke(network, body, kind)
        assert (status, content_type) == (200, JSON)
        for line, known in zip(json.loads(answer), wanted, strict=True):
            found, expected = LINE.fullmatch(line), LINE.fullmatch(known)
            assert found[2] == expected[2]
            assert float(found[1]) == pytest.approx(float(expected[1]), abs=1e-4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "WEBP"])
@pytest.mark.parametrize(
    ("mode", "light", "dark"),
    [("L", 255, 0), ("RGB", (255, 255, 255), (0, 0, 0)), ("P", 255, 0), ("RGBA", None, None)],
)
def test_image_formats(server, kind, mode, light, dark):
    if mode == "RGBA" and kind in ("JPEG", "BMP"):
        light, dark, mode = (250, 250, 250), (9, 9, 9), "RGB"
    if mode == "RGBA":  # transparent black is white, opaque black is black
        light, dark = (0, 0, 0, 0), (0, 0, 0, 255)
    for colour, name in ((light, "light"), (dark, "dark")):
        image = Picture.new("L" if mode == "P" else mode, (20, 10), colour)
        if mode == "P" and kind in ("PNG", "GIF", "BMP"):
            image = image.convert("P")
        status, _, answer = server.invoke("smoke", encoded(image, kind), f"image/{kind.lower()}")
        assert status == 200
        assert json.loads(answer)[0].endswith(f"class={name}")


def test_a_turned_photograph_is_set_upright(server):
    image = Picture.new("RGB", (40, 20))
    exif = Picture.Exif()
    exif[0x0112] = 8
    upright = encoded(image.transpose(Picture.Transpose.ROTATE_90), "PNG")
    turned = encoded(image, "PNG", exif=exif)
    assert server.invoke("table", turned, JPEG)[2] == server.invoke("table", upright, JPEG)[2]


def test_tensors_and_batches(server):
    item = np.full((3, 8, 8), 255, np.float32)
    wanted = pytest.approx([0.37754, 0.62246], abs=1e-4)
    for body, kind in ((json.dumps(item.tolist()).encode(), JSON), (npy(item), NPY)):
        status, content_type, answer = server.invoke("table", body, kind)
        assert (status, content_type) == (200, JSON)
        assert json.loads(answer) == wanted
    status, content_type, answer = server.invoke("table", npy(np.stack([item] * 3)), NPY, NPY)
    assert (status, content_type) == (200, NPY)
    rows = np.load(io.BytesIO(answer))
    assert rows.shape == (3, 2)
    assert rows[2].tolist() == wanted
    lines = json.loads(server.invoke("smoke", npy(item[None]), NPY)[2])
    assert lines[0][0].endswith("class=light")


def bomb() -> bytes:
    """A PNG of 400 megapixels in a few hundred kB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 2501 * 20_000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


ITEM = np.zeros((3, 8, 8), np.float32)
BAD = [
    ("empty", b"", JPEG, 400, "no body"),
    ("text as image", b"hello", JPEG, 400, "not an image of a known format"),
    ("cut JPEG", b"\xff\xd8\xff\xe0" + b"\0" * 50, JPEG, 400, "ends early"),
    ("TIFF", b"II*\0" + b"\0" * 64, "image/tiff", 400, "not an image of a known format"),
    ("bomb", bomb(), "image/png", 400, "too large: 20000 x 20000"),
    ("no JSON", b"{", JSON, 400, "not JSON"),
    ("deep JSON", b"[" * 50_000, JSON, 400, "not JSON"),
    ("NaN", b"[NaN]", JSON, 400, "NaN is not a number of JSON"),
    ("ragged", b"[[1],[2,3]]", JSON, 400, "rectangular"),
    ("words", b'["a"]', JSON, 400, "'a', is not a picture in base64"),
    ("null", b"null", JSON, 400, "rectangular list of numbers"),
    ("wrong shape", b"[1,2]", JSON, 400, "send [3, 8, 8]"),
    ("wrong name", b'{"x":[1]}', JSON, 400, "the inputs are data, the body has x"),
    ("no NPY", b"zzz", NPY, 400, "not an NPY array"),
    ("cut NPY", npy(ITEM)[:-5], NPY, 400, "not an NPY array"),
    ("pickle in NPY", npy(np.array([{}], dtype=object)), NPY, 400, "not of numbers"),
    ("infinite", npy(ITEM + np.inf), NPY, 400, "infinite"),
    ("empty batch", npy(ITEM[None][:0]), NPY, 400, "empty"),
    ("csv", b"1,2", "text/csv", 415, "'text/csv' is not supported"),
    ("unknown bytes", b"\1\2\3", "application/octet-stream", 415, "not supported"),
]


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"), [r[1:] for r in BAD], ids=[r[0] for r in BAD]
)
def test_bad_payloads_are_the_clients_error(server, body, kind, status, message):

    def refused() -> float:
        began = time.monotonic()
        found, content_type, answer = server.invoke("smoke", body, kind)
        assert (found, content_type) == (status, JSON)
        assert message in json.loads(answer)["message"]
        return time.monotonic() - began

    # what is decoded before takes long each time, a machine that has others to serve does not
    assert any(refused() < 2 for _ in range(3))
    assert server.invoke("smoke", picture(), "image/bmp")[0] == 200


def test_other_refusals(server):
    assert server.invoke("smoke", picture(), "image/bmp", "text/html")[0] == 406
    assert server.invoke("nobody", picture(), "image/bmp")[0] == 404
    # nothing about it is a worker's fault: no traceback, and the same workers go on
    assert "Traceback" not in server.text()


def test_largest_request_and_one_beyond(server):
    largest = picture() + b"\0" * (6 * 2**20 - len(picture()))
    assert server.invoke("smoke", largest, "image/bmp")[0] == 200
    assert server.invoke("smoke", largest + b"\0" * 2**20, "image/bmp")[0] == 413


def test_many_largest_requests_at_once(server):
    largest = picture() + b"\0" * (6 * 2**20 - len(picture()))
    with ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(server.invoke, "smoke", largest, "image/bmp") for _ in range(24)]
    assert [one.result()[0] for one in asked] == [200] * 24


def workers_of(model: str) -> list[int]:
    return [pid for pid in procfs.pids() if f"--model-name {model} " in command(pid)]


def test_load_list_and_unload(server, folder):
    assert server.load("smoke", folder / "smoke")[0] == 409
    assert server.load("gone", folder / "gone")[0] == 404
    write_model(folder / "third")
    before = workers_of("third")
    assert server.load("third", folder / "third")[0] == 200
    listed = json.loads(server.ask("GET", "/models")[2])["models"]
    assert {m["modelName"] for m in listed} >= {"smoke", "table", "third"}
    assert server.ask("DELETE", "/models/third")[0] == 200
    assert server.ask("DELETE", "/models/third")[0] == 404
    until(lambda: workers_of("third") == before == [], 60)
    assert "Frontend disconnected" not in server.text()


BROKEN = {
    "params cut": (
        "smoke-0000.params",
        lambda data: data[:100],
        "smoke-0000.params: not a readable",
    ),
    "params of another": (
        "smoke-0000.params",
        lambda data: data.replace(b"fc_b", b"fx_b"),
        "no weights for fc_bias",
    ),
    "symbol cut": ("smoke-symbol.json", lambda data: data[:50], "MXNetError"),
    "shapes no JSON": ("smoke-shapes.json", lambda data: b"{", "smoke-shapes.json: is not JSON"),
    "synset too short": ("synset.txt", lambda data: b"one\n", "synset.txt has 1 lines"),
    "no symbol": ("smoke-symbol.json", None, "no *-symbol.json in the model folder"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_model_that_cannot_be_loaded_says_why_in_the_log(server, folder, case):
    name, change, message = BROKEN[case]
    model = folder / case.replace(" ", "-")
    write_model(model)
    if change is None:
        (model / name).unlink()
    else:
        (model / name).write_bytes(change((model / name).read_bytes()))
    assert server.load(model.name, model)[0] == 500
    wait_for_words(server, re.escape(message))
    assert server.ask("GET", f"/models/{model.name}")[0] == 404
    assert server.load(model.name, model)[0] == 500


def big_model(folder: Path) -> None:
    """A model whose weights are 400 MB of zeros (a sparse file takes no disk)."""
    write_model(folder)
    width = 200_000_000 // 4 // 96
    symbol = json.loads((folder / "smoke-symbol.json").read_text())
    symbol["nodes"][3]["attrs"]["num_hidden"] = str(2 * width)
    (folder / "smoke-symbol.json").write_text(json.dumps(symbol))
    (folder / "synset.txt").unlink()
    with (folder / "smoke-0000.params").open("wb") as file:
        file.write(struct.pack("<QQQ", 0x112, 0, 2))
        for shape in ((2 * width, 192), (2 * width,)):
            file.write(struct.pack(f"<IiI{len(shape)}q", 0xF993FAC9, 0, len(shape), *shape))
            file.write(struct.pack("<iii", 1, 0, 0))
            file.seek(int(np.prod(shape)) * 4, os.SEEK_CUR)
        file.write(struct.pack("<Q", 2))
        for name in (b"arg:fc_weight", b"arg:fc_bias"):
            file.write(struct.pack("<Q", len(name)) + name)


def test_running_out_of_memory_is_507(serving_image, folder, warm):  # noqa: F811
    (folder / "tight").mkdir()
    write_model(folder / "small")
    big_model(folder / "big")
    # the Java virtual machine reserves far more than it uses: limit the workers alone
    limit = f'ulimit -v 1000000; exec "{serving_image.entrypoint[0]}" "$@"'
    wrapper = folder / "python"
    wrapper.write_text(f"#!/bin/sh\n{limit}\n")
    wrapper.chmod(0o755)
    entry = Path(serving_image.entrypoint[1])
    code = (
        f"import sys; sys.path.insert(0, {str(entry.parent)!r}); sys.executable = {str(wrapper)!r};"
        "import entrypoint; sys.exit(entrypoint.main(['serve']))"
    )
    limited = type(serving_image)(
        serving_image.reference,
        serving_image.digest,
        (serving_image.entrypoint[0], "-c", code),
        serving_image.environment,
    )
    with started(limited, folder / "tight", MMECTL_WARM_WORKERS=warm) as server:
        for _ in range(3):  # nothing is left of it: no DELETE is needed, however soon it is tried
            assert server.load("big", folder / "big")[0] == 507
        until(lambda: not pids(server, "--model-name big"), 60)
        refused = b'mmectl_no_memory_total{operation="load"} 3\n'
        assert refused in server.ask("GET", "/metrics")[2]
        assert server.ask("GET", "/models/big")[0] == 404
        assert json.loads(server.ask("GET", "/models")[2]) == {"models": []}
        assert server.load("small", folder / "small")[0] == 200
        assert server.invoke("small", picture(), "image/bmp")[0] == 200


def test_a_worker_that_wants_all_memory_is_refused_it(serving_image):  # noqa: F811
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import numpy; from serving.workers import memory; memory.confine(64 * memory.MIB);"
        "fits = numpy.ones(2**22); numpy.ones(2**25)"
    )
    folder = str(Path(serving_image.entrypoint[1]).parent)
    command = [serving_image.entrypoint[0], "-c", code, folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "MemoryError" in done.stderr.splitlines()[-1]


@pytest.fixture
def short() -> Iterator[Path]:
    with small_models() as made:
        yield made


@pytest.fixture
def one(serving_image, short, warm) -> Iterator[Server]:  # noqa: F811
    """A server of the test's own, with the small model `m`."""
    write_model(short / "m")
    settings = (
        {"MMECTL_WARM_WORKERS": warm, WORKERS: "2"} if warm == "1" else {"MMECTL_WARM_WORKERS": "0"}
    )
    with started(serving_image, short, **settings) as running:
        assert running.load("m", short / "m")[0] == 200
        yield running


def pids(server: Server, word: str) -> list[int]:
    """The processes of a server with that word in their command lines."""
    return sorted(pid for pid, line in server.members().items() if word in line)


def answers(server: Server, name: str = "m") -> bool:
    return server.invoke(name, picture(), "image/bmp")[0] == 200


def test_java_maps_the_archive_of_its_classes_and_sigterm_leaves_nothing(one, serving_image, warm):  # noqa: F811
    mapped = Path(f"/proc/{one.java()}/maps").read_text()
    assert f" {serving_image.environment['MMECTL_CLASS_ARCHIVE']}/" in mapped
    # the entrypoint, the server, a worker, and what forked it: the fork server or the launcher;
    # and soon a launcher and a worker for the next model
    until(lambda: len(one.members()) == (6 if warm == "1" else 4), 20)
    one.process.send_signal(signal.SIGTERM)
    assert one.gone(60)
    assert one.process.returncode == 0


@pytest.mark.parametrize("cause", ["java killed", "lifeline closed"])
def test_a_dead_server_takes_everything_with_it(one, cause):
    if cause == "java killed":
        os.kill(one.java(), signal.SIGKILL)
    else:
        os.close(one.lifeline)
    assert one.gone(60)
    assert one.process.returncode == 1
    said = "the model server died (SIGKILL)" if cause == "java killed" else "is gone"
    assert said in one.text()


@pytest.mark.parametrize("with_java", [False, True], ids=["alone", "with java"])
def test_nobody_outlives_a_killed_entrypoint(one, with_java):
    for pid in pids(one, "--model-name"):  # like a worker that computes: they hear of nothing
        os.kill(pid, signal.SIGSTOP)
    assert len(one.members()) >= 4
    java = one.java()
    one.process.kill()
    if with_java:
        os.kill(java, signal.SIGKILL)
    assert one.gone(60), one.members()


def test_a_killed_worker_comes_back(one):
    os.kill(max(pids(one, "--model-name")), signal.SIGKILL)
    until(lambda: answers(one), 60)


def test_a_killed_fork_server_is_replaced_and_its_workers_stay(serving_image, short):  # noqa: F811
    write_model(short / "m")
    with started(serving_image, short) as server:
        assert server.load("m", short / "m")[0] == 200
        workers = pids(server, "--model-name")
        (first,) = pids(server, "serving.workers.prefork")
        os.kill(first, signal.SIGKILL)
        # at once: the request waits for the new one
        assert server.load("n", short / "m")[0] == 200
        assert answers(server)
        assert answers(server, "n")
        assert set(workers) <= set(pids(server, "--model-name"))
        assert pids(server, "serving.workers.prefork") != [first]
        assert "the fork server died (SIGKILL): starting another" in server.text()
        assert "starts cold" not in server.text()


def test_without_a_fork_server_workers_start_cold(serving_image, short):  # noqa: F811
    write_model(short / "m")
    # the warm-up refuses to be shared once threads run
    with started(serving_image, short, MXNET_ENGINE_TYPE="ThreadedEngine") as server:
        until(lambda: "workers start cold from now on" in server.text(), 60)
        assert server.load("m", short / "m")[0] == 200
        assert answers(server)
        wait_for_words(server, "this worker starts cold")


def test_another_handler_has_its_own_modules(serving_image, short):  # noqa: F811
    model = short / "m"
    (model / "MAR-INF").mkdir(parents=True)
    manifest: dict[str, object] = {"model": {"modelName": "m", "handler": "answering.py:handle"}}
    manifest |= {"runtime": "python", "specificationVersion": "1.0", "implementationVersion": "1.0"}
    (model / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
    (model / "images.py").write_text("WORD = 'its own'\n")
    handler = (
        "import images\ndef handle(data, context):\n    return data and [images.WORD] * len(data)\n"
    )
    (model / "answering.py").write_text(handler)
    with started(serving_image, short) as server:
        assert server.load("m", model)[0] == 200, server.text()
        assert server.invoke("m", b"any", "application/json")[2] == b"its own"


@pytest.mark.parametrize("word", ["idle", "launcher", "worker", "memory", "serving", "runtimes"])
def test_another_handler_may_call_its_modules_as_ours_are_called(serving_image, short, word):  # noqa: F811
    model = short / "m"
    (model / "MAR-INF").mkdir(parents=True)
    manifest: dict[str, object] = {"model": {"modelName": "m", "handler": "answering.py:handle"}}
    manifest |= {"runtime": "python", "specificationVersion": "1.0", "implementationVersion": "1.0"}
    (model / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(manifest))
    (model / f"{word}.py").write_text("WORD = 'its own'\n")
    (model / "answering.py").write_text(
        f"import {word}\ndef handle(data, context):\n"
        f"    return data and [{word}.WORD] * len(data)\n"
    )
    with started(serving_image, short) as server:
        assert server.load("m", model)[0] == 200, server.text()
        assert server.invoke("m", b"any", "application/json")[2] == b"its own"


def test_a_warm_worker_has_what_the_server_gives_it(serving_image, short):  # noqa: F811
    write_model(short / "m")
    settings: dict[str, Any] = {"SOME_SETTING": "one=two three", WORKERS: "1"}
    with started(serving_image, short, **settings) as server:
        assert server.load("m", short / "m")[0] == 200
        (worker,) = pids(server, "--model-name")  # its launcher has left
        assert (Path("/proc") / str(worker) / "cwd").readlink() == short / "m"
        line = (Path("/proc") / str(worker) / "cmdline").read_bytes().rstrip(b"\0")
        assert b"model_service_worker.py\0--sock-type\0unix\0" in line
        assert line.endswith(b"\0--tmp-dir\0" + os.fsencode(short / "run" / "tmp"))
        parent = (Path("/proc") / str(worker) / "stat").read_text().rpartition(")")[2].split()[1]
        assert [int(parent)] == pids(server, "serving.workers.prefork")
        text = "loaded smoke from"
        until(lambda: "-m-" in "".join(n for n in server.text().splitlines() if text in n), 60)
        # nothing of another worker or of the fork server is open in it
        assert connections_of(worker) == 1


def parent(pid: int) -> int:
    fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return int(fields[1])


def connections_of(pid: int) -> int:
    held = []
    for entry in (Path("/proc") / str(pid) / "fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            held.append(str(entry.readlink()))
    return len([name for name in held if name.startswith("socket:")])


def test_a_request_that_waits_gets_a_replica_for_a_while(serving_image, short):  # noqa: F811
    write_model(short / "m")
    with started(serving_image, short, MMECTL_IDLE_SECONDS="0.1", **workers("3")) as server:
        assert server.load("m", short / "m")[0] == 200
        bodies = {server.invoke("m", picture(), "image/bmp")[2] for _ in range(20)}
        (worker,) = pids(server, "--model-name")
        most: list[int] = []

        def replicas_are_seen() -> bool:
            """Let requests wait, and look between two answers."""
            ask = lambda _: server.invoke("m", picture(), "image/bmp")  # noqa: E731
            with ThreadPoolExecutor(6) as pool:
                for answer in pool.map(ask, range(60)):
                    bodies.add(answer[2])
                    seen = pids(server, "--model-name")
                    most[:] = seen if len(seen) > len(most) else most
            return len(most) > 1

        until(replicas_are_seen, 120)
        assert len(bodies) == 1
        replicas = set(most) - {worker}
        assert 1 <= len(replicas) <= 2
        until(lambda: pids(server, "--model-name") == [worker], 60)
        assert connections_of(worker) == 3
        wait_for_words(server, "loaded smoke from")
        assert server.text().count("loaded smoke from") == 1
        assert all(answers(server) for _ in range(6))


def test_worker_and_replica_may_be_killed(serving_image, short):  # noqa: F811
    write_model(short / "m")
    # replicas stay for ever
    with started(serving_image, short, MMECTL_IDLE_SECONDS="0", **workers("2")) as server:
        assert server.load("m", short / "m")[0] == 200

        def busy() -> list[int]:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda _: answers(server), range(40)))
            return pids(server, "--model-name")

        for which in (2, 1, 2):  # the replica, the worker, and who came after
            until(lambda: len(busy()) == 2, 60)
            both = pids(server, "--model-name")
            os.kill(both[which - 1], signal.SIGKILL)
            until(lambda: all(answers(server) for _ in range(12)), 60)
        assert server.ask("DELETE", "/models/m")[0] == 200
        until(lambda: not pids(server, "--model-name"), 60)


def test_models_with_the_same_network_come_from_one_process(serving_image, short):  # noqa: F811
    write_model(short / "m")
    write_model(short / "other")
    # the same network with other weights and labels
    params = (short / "other" / "smoke-0000.params").read_bytes()
    params = params.replace(struct.pack("<2f", 0.5, 0.0), struct.pack("<2f", 1.5, 0.0))
    (short / "other" / "smoke-0000.params").write_bytes(params)
    (short / "other" / "synset.txt").write_text("night\nday\n")
    shapes = short / "table" / "smoke-shapes.json"
    shapes.write_text(shapes.read_text() + "\n")  # another template, though equal in meaning
    with started(serving_image, short, MMECTL_IDLE_SECONDS="0.1") as server:

        def templates() -> list[int]:
            return pids(server, "--template")

        def loaded(name: str, folder: str) -> int:
            """Load a model that must answer; returns the process its worker was forked from."""
            before = set(pids(server, "--model-name"))
            assert server.load(name, short / folder)[0] == 200
            assert answers(server, name)
            return parent(max(set(pids(server, "--model-name")) - before))

        (fork_server,) = pids(server, "serving.workers.prefork")
        assert loaded("a", "m") == fork_server
        assert loaded("t", "table") == fork_server
        assert not templates()
        loaded("b", "m")
        until(lambda: bool(listening(short)), 60)
        (template,) = templates()
        assert loaded("c", "other") == template
        said = [server.invoke(name, picture(), "image/bmp")[2].decode() for name in ("a", "b", "c")]
        assert said[0] == said[1]
        assert "class=light" in said[0].split("\n")[0]
        assert "class=night" in said[2].split("\n")[0]
        (short / "other" / "smoke-0000.params").write_bytes(params[: len(params) // 2])
        assert server.load("d", short / "other")[0] == 500
        os.kill(template, signal.SIGKILL)
        assert answers(server, "c")
        loaded("e", "m")
        until(lambda: templates() not in ([], [template]), 60)
        for name in ("a", "t", "b", "c", "e"):
            assert templates(), "it stays while it has models"
            assert server.ask("DELETE", f"/models/{name}")[0] == 200
        until(lambda: not templates(), 60)
        assert not list((short / "run" / "tmp").glob("template-*.sock"))
        assert "starts cold" not in server.text()


def listening(folder: Path) -> list[Path]:
    """The sockets of templates that listen (the flags column of /proc/net/unix: SO_ACCEPTCON)."""
    rows = (line.split() for line in Path("/proc/net/unix").read_text().splitlines())
    own = [row[7] for row in rows if len(row) == 8 and row[3] == "00010000"]
    return [Path(name) for name in own if "template-" in name and name.startswith(str(folder))]


def test_only_the_first_request_of_all_workers_is_cold(serving_image, short):  # noqa: F811
    write_model(short / "m")
    with started(serving_image, short, **workers("3")) as server:
        assert server.load("m", short / "m")[0] == 200
        said = []
        for _ in range(8):
            with contextlib.closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as line:
                line.request("POST", "/models/m/invoke", picture(), {"Content-Type": "image/bmp"})
                said.append(line.getresponse().headers["X-Amzn-SageMaker-Custom-Attributes"])
        assert said == ["mmectl-cold=true"] + ["mmectl-cold=false"] * 7


@pytest.mark.parametrize("count", ["1", "3"])
def test_what_cannot_be_loaded_is_told_once_and_leaves_nothing(serving_image, short, count):  # noqa: F811
    write_model(short / "m")
    good = (short / "m" / "smoke-0000.params").read_bytes()
    with started(serving_image, short, **workers(count)) as server:
        for content, status in ((b"damaged", 500), (good, 200)) * 2:
            (short / "m" / "smoke-0000.params").write_bytes(content)
            assert server.load("m", short / "m")[0] == status, server.text()
            if status == 200:
                assert answers(server)
                assert server.ask("DELETE", "/models/m")[0] == 200
            until(lambda: not pids(server, "--model-name"), 60)


def test_what_cannot_start_says_why(serving_image, short):  # noqa: F811
    with taken_port() as port:
        cases: dict[str, dict[str, Any]] = {
            "cannot listen on 127.0.0.1": {"SAGEMAKER_BIND_TO_PORT": str(port)},
            "SAGEMAKER_BIND_TO_PORT='40000' is not": {"SAGEMAKER_BIND_TO_PORT": "40000"},
            "JAVA_HOME='/nonexistent' has no": {"JAVA_HOME": "/nonexistent"},
        }
        for message, environment in cases.items():
            with started(serving_image, short, wait=False, **environment) as server:
                assert server.process.wait(60) == 1
                assert message in server.text()


def test_other_commands_are_run_as_they_are(serving_image):  # noqa: F811
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*serving_image.entrypoint, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("echo", "hello").stdout == "hello\n"
    assert run("no-such-program").returncode == 127
    assert run("serve", "more").returncode == 2
    assert run().returncode == 2


def test_the_toolkits_names_are_used(serving_image):  # noqa: F811
    code = (
        "from sagemaker_inference import parameters as p;"
        "print(p.BIND_TO_PORT_ENV, p.MODEL_SERVER_WORKERS_ENV, p.MODEL_SERVER_TIMEOUT_ENV,"
        "p.MODEL_SERVER_TIMEOUT_SECONDS_ENV, p.MODEL_SERVER_VMARGS, p.MAX_REQUEST_SIZE)"
    )
    command = [serving_image.entrypoint[0], "-c", code]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert names == [
        "SAGEMAKER_BIND_TO_PORT",
        "SAGEMAKER_MODEL_SERVER_WORKERS",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS",
        "SAGEMAKER_MODEL_SERVER_VMARGS",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB",
    ]
