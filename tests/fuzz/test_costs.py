"""The worst payloads that are taken: what reading one costs, in a process of its own."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

CONTAINER = Path(__file__).resolve().parents[2] / "container"
MEGABYTES = 200 + 30  # images.MAX_BYTES, and the rows, the file and what Pillow allocates by blocks
SECONDS = 5.0  # of processor time
LARGEST = 6 << 20  # bytes of a request that the server takes
MEASURE = """
import sys, time
sys.path.insert(0, sys.argv[1])
from serving.handler import codecs
from runtimes.mxnet.model_files import Input
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(l for l in lines if l.startswith("VmHWM")).split()[1])
body = open(sys.argv[2], "rb").read()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # forget the peak so far
before, start = peak(), time.process_time()
feed = codecs.parse(body, "application/x-image", [Input("data", (1, 3, 224, 224))])
print(feed.items, time.process_time() - start, (peak() - before) / 1024)
"""


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(side: int, colours: int, channels: int) -> bytes:
    head = struct.pack(">IIBBBBB", side, side, 8, colours, 0, 0, 0)
    packed = zlib.compress(bytes(side * (side * channels + 1)), 1)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def scans(side: int, count: int) -> bytes:
    whole = encoded(Image.new("L", (side, side), 9), "JPEG", progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last * (count - whole.count(b"\xff\xda")) + whole[-2:]


@pytest.mark.parametrize(
    "make",
    [
        lambda: encoded(Image.new("RGB", (7070, 7070), (9, 8, 7)), "JPEG"),
        lambda: encoded(Image.new("CMYK", (4100, 4100)), "JPEG", progressive=True),
        lambda: scans(7000, 20),
        lambda: scans(3160, 100),
        lambda: png(7070, 2, 3),
        lambda: png(7070, 6, 4),
        lambda: encoded(Image.new("RGBA", (4000, 3080), (1, 2, 3, 4)), "WEBP", lossless=True),
        lambda: encoded(Image.new("P", (7070, 7070)), "GIF", transparency=0),
    ],
    ids=["rgb", "cmyk", "20 scans", "100 scans", "png", "rgba png", "webp", "clear gif"],
)
def test_the_worst_pictures(tmp_path: Path, make: Callable[[], bytes]) -> None:
    body = make()
    assert len(body) < LARGEST
    (tmp_path / "body").write_bytes(body)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, CONTAINER, tmp_path / "body"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    items, seconds, megabytes = map(float, done.stdout.split())
    assert items == 1
    assert seconds < SECONDS
    assert megabytes < MEGABYTES
