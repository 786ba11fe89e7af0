"""The zoo's networks with seeded random weights, for where the zoo cannot be reached.

Same file names, tensor names, shapes and sizes as the zoo's, so that everything but the answers
is as it would be; every label reads ``untrained class NNNN``. Deterministic for a seed, on any
machine. Pure standard library: resnet_152 (241 MB) takes about two seconds.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from mmectl.base.errors import ArtifactError, UsageError
from mmectl.base.values import Event, Report, ignore
from mmectl.frameworks.mxnet import networks, params
from mmectl.frameworks.mxnet.networks import Network, Parameter

CHUNK = 1 << 22
ONE = struct.pack("<f", 1.0)
ZERO = struct.pack("<f", 0.0)
# root mean square of what the mantissa alone spreads evenly over [1, 2)
_SPREAD = math.sqrt(7 / 3)
# what the first convolution sees: raw pixels, 0..255
_PIXEL = 128.0


def file_stem(name: str) -> str:
    """How the zoo calls the files of a model: ``resnet-18`` for ``resnet_18``."""
    return name.replace("resnet_", "resnet-")


def weight_exponents(net: Network) -> dict[str, int]:
    """The binary exponent of every weight tensor's elements.

    He et al. 2015 (root mean square sqrt(2 / fan-in)); the first convolution also divides by the
    size of a pixel, and the last of each residual branch by the root of the number of branches,
    so that activations neither vanish nor saturate the softmax.
    """
    weights = [p for p in net.parameters if p.role == "weight"]
    targets = {p.name: math.sqrt(2 / math.prod(p.shape[1:])) for p in weights}
    targets[weights[0].name] /= _PIXEL
    branches = [net.nodes[node.inputs[0]] for node in net.nodes if node.op == "_Plus"]
    for convolution in branches:
        targets[f"arg:{convolution.name}_weight"] /= math.sqrt(len(branches))
    return {name: round(math.log2(target / _SPREAD)) for name, target in targets.items()}


def _tables(exponent: int) -> tuple[bytes, bytes]:
    """What random bytes 3 (sign, high exponent) and 2 (low exponent, mantissa) become."""
    biased = exponent + 127
    high = bytes((byte & 0x80) | (biased >> 1) for byte in range(256))
    low = bytes((biased & 1) << 7 | (byte & 0x7F) for byte in range(256))
    return high, low


def random_floats(rng: random.Random, count: int, exponent: int) -> Iterator[bytes]:
    """`count` little-endian float32 of either sign in [2**exponent, 2**(exponent+1)), in parts."""
    high, low = _tables(exponent)
    left = 4 * count
    while left:
        part = bytearray(rng.randbytes(min(left, CHUNK)))
        part[3::4] = part[3::4].translate(high)
        part[2::4] = part[2::4].translate(low)
        yield bytes(part)
        left -= len(part)


def _data(rng: random.Random, parameter: Parameter, exponents: dict[str, int]) -> Iterator[bytes]:
    count = math.prod(parameter.shape)
    if parameter.role == "weight":
        yield from random_floats(rng, count, exponents[parameter.name])
    else:
        yield (ONE if parameter.role in ("gamma", "var") else ZERO) * count


def write_params(stream: BinaryIO, net: Network, seed: int) -> Iterator[int]:
    """Write the parameter file in the zoo's legacy form; yields the bytes of each part."""
    rng = random.Random(seed)  # weights, not secrets
    exponents = weight_exponents(net)
    ordered = sorted(net.parameters, key=lambda p: p.name.startswith("aux:"))
    params.write_header(stream, len(ordered))
    for parameter in ordered:
        stream.write(params.array_header(parameter.shape, legacy=True))
        for part in _data(rng, parameter, exponents):
            stream.write(part)
            yield len(part)
    params.write_names(stream, (p.name for p in ordered))


def synset() -> str:
    """Labels that say themselves that nothing was learned."""
    return "".join(f"untrained class {number:04d}\n" for number in range(1, networks.CLASSES + 1))


def write_model(folder: Path, name: str, *, seed: int = 0, report: Report = ignore) -> Path:
    """Make the model folder of a zoo network with random weights; an existing one is replaced.

    `name` is one of `networks.NETWORKS`. Appears only when complete. Raises UsageError for an
    unknown name, ArtifactError where it cannot be written.
    """
    if name not in networks.NETWORKS:
        known = ", ".join(sorted(networks.NETWORKS))
        raise UsageError(f"{name}: no such network: known are {known}", code="unknown_model")
    net, stem = networks.NETWORKS[name](), file_stem(name)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    total = sum(4 * math.prod(p.shape) for p in net.parameters)
    report(Event("start", name, "random weights", total=total))
    try:
        _write_files(partial, net, stem, seed, lambda n: _progressed(report, name, n, total))
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        raise ArtifactError(
            f"{folder}: cannot be written: {error.strerror}", code="unwritable_file"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    report(Event("done", name, f"untrained, seed {seed}", total, total))
    return folder


def _progressed(report: Report, name: str, done: int, total: int) -> None:
    report(Event("progress", name, done=done, total=total))


def _write_files(
    folder: Path, net: Network, stem: str, seed: int, progress: Callable[[int], None]
) -> None:
    folder.mkdir(parents=True)
    done = 0
    with (folder / f"{stem}-0000.params").open("wb") as stream:
        for size in write_params(stream, net, seed):
            done += size
            progress(done)
    (folder / f"{stem}-symbol.json").write_text(networks.symbol_json(net))
    shapes = [{"shape": list(networks.INPUT_SHAPE), "name": "data"}]
    (folder / f"{stem}-shapes.json").write_text(json.dumps(shapes))
    (folder / "synset.txt").write_text(synset())
