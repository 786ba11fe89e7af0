"""From an object to the first answer: a resnet_152 whose weights are compressed, and stored.

Compressed is how every file was packed before, and how `tar -czf` and `tarfile` pack; stored is
what `mmectl upload` does with weights. Both are read by the same readers, by turns: ours, `tar xzf`
and Python's tarfile, which are what instances may use. Then both are asked through an endpoint of
the embedded platform, as new objects each time, so that each request fetches, unpacks and loads.
"""

from __future__ import annotations

import functools
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from benchmarks.invoke import BUCKET, REGION, ROOT, Bench
from benchmarks.report import Result, seconds
from mmectl.archive.compression import Compression
from mmectl.archive.pack import pack_file
from mmectl.archive.unpack import Limits, unpack
from mmectl.frameworks.mxnet import untrained
from mmectl.image import build_local
from mmectl.local.client import platform
from mmectl.local.fleet.copies import Copies
from mmectl.local.values import ACCOUNT

NAME = "cold: resnet_152 (242 MB) from the object to the answer, compressed and stored, by turns"
ROUNDS = 5
READERS = {"ours": 3.0, "tar xzf": 1.3, "tarfile": 2.0}  # times as fast, at least
GOAL = 0.9  # seconds through the endpoint, quiet machine
K = TypeVar("K")
Reader = Callable[[Path, Path], object]
PACKED: tuple[Compression, ...] = ("small", "auto")


def run() -> Iterator[Result]:
    """Measure in a folder of our own, on a platform that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mmectl-bench-") as name:
        root = Path(name)
        model = untrained.write_model(root / "resnet_152", "resnet_152")
        archives = {way: root / f"{way}.tar.gz" for way in PACKED}
        sizes = {way: pack_file(model, archives[way], compression=way).packed for way in PACKED}
        share = sizes["auto"] / sizes["small"]
        yield Result("size of the stored one, as a share", f"{share:.3f}", "<= 1.2", share <= 1.2)
        yield from _read(root, archives)
        yield _again(root, archives["small"])
        yield from _through_the_endpoint(root, archives)


def _read(root: Path, archives: dict[Compression, Path]) -> Iterator[Result]:
    readers: dict[str, Reader] = {"ours": unpack, "tar xzf": _tar, "tarfile": _tarfile}
    for name, reader in readers.items():
        calls = {way: functools.partial(reader, archive) for way, archive in archives.items()}
        taken = _by_turns(root, calls)
        small, auto = taken["small"], taken["auto"]
        ratio, goal = small / auto, READERS[name]
        yield Result(f"{name}: stored, compressed", f"{auto:.2f}, {small:.2f} s", "", None)
        yield Result(f"{name}: times as fast", f"{ratio:.1f}", f">= {goal:g}", ratio >= goal)


def _by_turns(root: Path, calls: Mapping[K, Callable[[Path], object]]) -> dict[K, float]:
    """Median seconds of calls that write into a folder that is new each time."""
    taken: dict[K, list[float]] = {key: [] for key in calls}
    for _ in range(ROUNDS):
        for key, call in calls.items():
            taken[key].append(seconds(functools.partial(call, root / "out")))
            shutil.rmtree(root / "out")
    return {key: statistics.median(found) for key, found in taken.items()}


def _tar(archive: Path, folder: Path) -> None:
    folder.mkdir()
    subprocess.run(["tar", "xzf", str(archive), "-C", str(folder)], check=True)


def _tarfile(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def _again(root: Path, archive: Path) -> Result:
    """What a second instance takes for the same object, against unpacking it."""
    copies = Copies()

    def on_instance(folder: Path) -> None:
        copies(archive, folder, Limits(), threading.Event())

    on_instance(root / "first")
    taken = _by_turns(root, {"fresh": functools.partial(unpack, archive), "copy": on_instance})
    figure = f"{taken['copy']:.2f} against {taken['fresh']:.2f} s"
    return Result("compressed, on a further instance", figure, "", None)


def _through_the_endpoint(root: Path, archives: dict[Compression, Path]) -> Iterator[Result]:
    built = build_local(
        ROOT / "container", ROOT / ".mmectl", account=ACCOUNT, region=REGION, repository="mmectl"
    )
    state = root / "state"
    shutil.copytree(ROOT / ".mmectl" / "images", state / "images", symlinks=True)
    try:
        bench = Bench(platform.start(state, region=REGION), state, built)
        bench.deploy()
        taken = _cold(bench, archives)
    finally:
        platform.stop(state)
    small, auto = taken["small"], taken["auto"]
    yield Result("endpoint, cold: compressed", f"{small:.2f} s", "", None)
    yield Result("endpoint, cold: stored", f"{auto:.2f} s", f"<= {GOAL:g} s", auto <= GOAL)
    yield Result("endpoint, cold: times as fast", f"{small / auto:.1f}", "", None)


def _cold(bench: Bench, archives: dict[Compression, Path]) -> dict[Compression, float]:
    """Median seconds of a first request, each for an object that was just uploaded."""
    s3 = bench.client("s3")
    bench.boto3()()  # the server has started whatever it starts once
    taken: dict[Compression, list[float]] = {way: [] for way in archives}
    for number in range(ROUNDS):
        for way, archive in archives.items():
            target = f"{way}_{number}.tar.gz"
            s3.upload_file(str(archive), BUCKET, f"models/{target}")
            taken[way].append(seconds(bench.boto3(target)))
    return {way: statistics.median(found) for way, found in taken.items()}
