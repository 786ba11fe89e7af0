"""Packing a model of resnet_152's size against the standard library's ``tarfile`` ``w:gz``."""

from __future__ import annotations

import functools
import random
import struct
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Result, alternating
from mmectl.archive import pack
from mmectl.archive.compression import Compression
from mmectl.frameworks.mxnet import untrained

NAME = "packing: random float32 weights of resnet_152 (241 MB), in one run with tarfile w:gz"
ROUNDS = 3
TIMES_FASTER = 8.0
# how large the tarball may become, as a share of tarfile's
WAYS: dict[Compression, float] = {"small": 1, "auto": 1.2}


def normal_weights(folder: Path) -> Path:
    """A folder with 64 MB of normally distributed weights, as training leaves them."""
    rng = random.Random(0)
    part = struct.pack("<250000f", *(rng.gauss(0, 0.02) for _ in range(250_000)))
    folder.mkdir()
    with (folder / "normal-0000.params").open("wb") as stream:
        for _ in range(64):
            # other low bytes each time, so that no part repeats another
            fresh = bytearray(part)
            for offset in (0, 1):
                fresh[offset::4] = rng.randbytes(250_000)
            stream.write(fresh)
    return folder


def compare(folder: Path, rounds: int) -> Iterator[Result]:
    """Pack one folder both ways, by turns: every file compressed, as tarfile does; then `auto`."""
    ours, theirs = folder.parent / "ours.tar.gz", folder.parent / "theirs.tar.gz"

    def with_tarfile() -> None:
        with tarfile.open(theirs, "w:gz") as archive:
            archive.add(folder, arcname=".")

    for way in WAYS:
        fast, slow = alternating(
            functools.partial(pack.pack_file, folder, ours, compression=way), with_tarfile, rounds
        )
        content = sum(path.stat().st_size for path in folder.iterdir())
        sizes = ours.stat().st_size, theirs.stat().st_size
        label = f"{folder.name}, {content / 1e6:.0f} MB, {way}"
        rate = f"{content / fast / 1e6:.0f} against {content / slow / 1e6:.1f} MB/s"
        yield Result(f"{label}: speed", rate, "", None)
        ratio = slow / fast
        yield Result(
            f"{label}: times as fast", f"{ratio:.1f}", f">= {TIMES_FASTER:.0f}", ratio >= 8
        )
        share, most = sizes[0] / sizes[1], WAYS[way]
        figure = f"{share:.4f} ({sizes[0]:,} / {sizes[1]:,})"
        yield Result(f"{label}: size, as a share", figure, f"<= {most:g}", share <= most)


def run() -> Iterator[Result]:
    """Pack the untrained resnet_152, then weights as training leaves them."""
    with tempfile.TemporaryDirectory(prefix="mmectl-bench-") as root:
        folder = untrained.write_model(Path(root) / "resnet_152", "resnet_152")
        yield from compare(folder, ROUNDS)
        yield from compare(normal_weights(Path(root) / "normal"), ROUNDS)
