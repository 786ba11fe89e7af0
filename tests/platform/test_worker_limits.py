"""Workers at their limits: memory that their instance does not have, and signals that end them."""

from __future__ import annotations

import functools
import json
import os
import struct
import threading
import time
from pathlib import Path

import psutil
import pytest
from data_plane import Folder, Plane, cat, pack, spec, store
from serving_fixtures import serving_image

from mmectl.frameworks.mxnet import params
from mmectl.local.fleet.data_plane import DataPlane, RouterSettings
from mmectl.local.values import AwsError, Image, InvokeRequest

__all__ = ["cat", "serving_image", "store"]
MB = 1 << 20
BUDGET_MB = 300
SLACK_MB = 140  # memory.LOAD_BYTES and a quarter of the budget
FILTERS, SIDE = 64, 2000  # 1 GB comes out of the convolution, by 1 kB of weights


def write_hungry(folder: Path, side: int) -> Path:
    folder.mkdir()
    convolution = {"kernel": "(1, 1)", "num_filter": str(FILTERS), "no_bias": "True"}
    nodes = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "null", "name": "w", "inputs": []},
        {"op": "Convolution", "name": "c", "attrs": convolution, "inputs": [[0, 0, 0], [1, 0, 0]]},
        {"op": "sum", "name": "s", "attrs": {"axis": "(2, 3)"}, "inputs": [[2, 0, 0]]},
    ]
    (folder / "m-symbol.json").write_text(
        json.dumps({"nodes": nodes, "arg_nodes": [0, 1], "heads": [[3, 0, 0]]})
    )
    (folder / "m-shapes.json").write_text(
        json.dumps([{"name": "data", "shape": [1, 3, side, side]}])
    )
    with (folder / "m-0000.params").open("wb") as stream:
        data = struct.pack(f"<{FILTERS * 3}f", *[0.5] * (FILTERS * 3))
        params.write(stream, [("arg:w", (FILTERS, 3, 1, 1), data)])
    return folder


class Peak(threading.Thread):
    """Watches the processes below one: the most that any of them ever held, in MB."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self.most = 0
        self.server = psutil.Process(pid)
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.most = max(self.most, self.now())

    def now(self) -> int:
        return max(
            (peak_mb(process.pid) for process in self.server.children(recursive=True)), default=0
        )


def peak_mb(pid: int) -> int:
    """The most that one process ever held, in MB; 0 for Java and for one that ended meanwhile."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    rows = dict(row.split(":", 1) for row in text.splitlines())
    if rows["Name"].strip() == "java" or "VmHWM" not in rows:  # a zombie has no memory
        return 0
    return int(rows["VmHWM"].split()[0]) // 1024


@pytest.mark.alone
async def test_a_load_takes_no_more_than_its_instance_has(
    serving_image: Image, store: Folder, cat: bytes, tmp_path: Path
) -> None:
    store.put("hungry.tar.gz", pack(write_hungry(tmp_path / "m", SIDE)))
    settings = RouterSettings(memory=BUDGET_MB * MB)
    fleets = DataPlane(
        tmp_path / "f", store, settings, runtime="process", environment=dict(os.environ)
    )
    await fleets.start((spec(serving_image, instance_count=1),))
    plane = Plane(fleets, cat, tmp_path)
    try:
        kept = ["squeezenet_v1.1.tar.gz", "sub/model_0.tar.gz"]
        expected = [await plane.invoke(name) for name in kept]
        (row,) = plane.rows()
        peak = Peak(row["pid"])
        before = peak.now()
        peak.start()
        took = []
        for _ in range(3):  # again: neither a template of its network nor a retry takes more
            began = time.monotonic()
            with pytest.raises(AwsError, match="more memory than an instance has") as caught:
                await plane.invoke("hungry.tar.gz")
            took.append(time.monotonic() - began)
            assert caught.value.members["OriginalStatusCode"] == 507
        peak.done.set()
        peak.join()
        assert peak.most < before + BUDGET_MB + SLACK_MB, (peak.most, before, took)
        assert took[0] < 10
        assert max(took[1:]) < 1  # remembered
        (row,) = plane.rows()
        assert {model["target_model"] for model in row["models"]} == set(kept)
        assert [await plane.invoke(name) for name in kept] == expected
        store.put("fed.tar.gz", pack(write_hungry(tmp_path / "small", 40)))
        with pytest.raises(AwsError, match="client error"):  # it is loaded, and takes no picture
            await plane.invoke("fed.tar.gz", b"no picture")
    finally:
        await fleets.close()


async def test_a_request_that_ends_its_worker_says_by_which_signal(
    serving_image: Image, store: Folder, cat: bytes, tmp_path: Path
) -> None:
    """An integer divided by zero: SIGFPE, but not for the zeros that a load tries."""
    folder = tmp_path / "m"
    folder.mkdir()
    nodes = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "_minus_scalar", "name": "m", "attrs": {"scalar": "1"}, "inputs": [[0, 0, 0]]},
        {"op": "elemwise_div", "name": "d", "inputs": [[0, 0, 0], [1, 0, 0]]},
    ]
    symbol = {"nodes": nodes, "arg_nodes": [0], "heads": [[2, 0, 0]]}
    (folder / "m-symbol.json").write_text(json.dumps(symbol))
    shapes = [{"name": "data", "shape": [1, 4], "dtype": "int32"}]
    (folder / "m-shapes.json").write_text(json.dumps(shapes))
    with (folder / "m-0000.params").open("wb") as stream:
        params.write(stream, [])
    store.put("divides.tar.gz", pack(folder))
    fleets = DataPlane(tmp_path / "f", store, runtime="process", environment=dict(os.environ))
    await fleets.start((spec(serving_image, instance_count=1),))
    try:
        ask = functools.partial(InvokeRequest, content_type="application/json")
        target = {"target_model": "divides.tar.gz"}
        answer = await fleets.invoke("ep", "cfg", ask(b"[[5, 6, 7, 8]]", **target))
        assert json.loads(answer.body) == [[1, 1, 1, 1]]
        with pytest.raises(AwsError, match="Worker died") as caught:
            await fleets.invoke("ep", "cfg", ask(b"[[5, 1, 7, 8]]", **target))
        assert "SIGFPE ended the process after the load" in caught.value.message
        answer = await fleets.invoke("ep", "cfg", ask(b"[[5, 6, 7, 8]]", **target))
        assert json.loads(answer.body) == [[1, 1, 1, 1]]
    finally:
        await fleets.close()
