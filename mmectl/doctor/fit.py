"""Check: memory and disk of an instance against the uploaded models."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.base.instances import GIB, VOLUME_GB, instance_type
from mmectl.base.text import counted
from mmectl.doctor.values import Finding, ModelSizes, Subject, Wanted, fail, ok, warn

# What the server itself takes, and what a model takes beyond its file: measured for the runtimes
# that come with mmectl (docs/performance.md); a tarball of weights shrinks by 7 % at least
SERVER = GIB
UNPACKED, LOADED = 1.1, 1.3


def look(subject: Subject) -> Iterator[Finding]:
    """The largest model fits; whether all do is told, as SageMaker unloads what does not."""
    sizes = subject.sizes()
    if not sizes.packed:
        yield warn(
            "no models are uploaded: nothing to compare",
            "",
            "mmectl upload --all",
            code="no_models",
        )
        return
    for name, _ in subject.wanted.fleets:
        yield from _on(name, sizes, subject.wanted)


def _on(name: str, sizes: ModelSizes, wanted: Wanted) -> Iterator[Finding]:
    kind = instance_type(name)
    if not kind.known:
        yield warn(f"the memory of {name} is not known; not compared", code="not_checked")
        return
    memory = wanted.memory or kind.memory - SERVER
    disk = wanted.disk or kind.nvme or (wanted.volume_gb or VOLUME_GB) << 30
    yield from _memory(sizes, memory, name)
    yield from _disk(sizes, disk)


def estimate(sizes: ModelSizes, target: str) -> float:
    """Bytes of a model in memory: measured, else by its tarball."""
    return sizes.measured.get(target) or sizes.packed[target] * UNPACKED * LOADED


def _memory(sizes: ModelSizes, memory: int, kind: str) -> Iterator[Finding]:
    needs = {target: estimate(sizes, target) for target in sizes.packed}
    largest = max(needs, key=lambda target: needs[target])
    total = sum(needs.values())
    how = "measured" if largest in sizes.measured else "estimated by its size"
    if needs[largest] > memory:
        yield fail(
            f"{largest} takes {_size(needs[largest])} of memory ({how}), {kind} has "
            f"{_size(memory)} for models",
            "it would not load",
            "set endpoint.instance_type to one with more memory",
            code="memory",
        )
    elif total > memory:
        yield warn(
            f"{len(needs):,} models take {_size(total)} of memory, an instance has "
            f"{_size(memory)} for them",
            "models used least recently are unloaded, and load again when they are asked for",
            "see how often: mmectl metrics",
            code="memory",
        )
    else:
        yield ok(f"memory: {_size(total)} of {_size(memory)} for {counted(len(needs), 'model')}")


def _disk(sizes: ModelSizes, disk: int) -> Iterator[Finding]:
    # the tarball and what is in it lie there at once while a model is unpacked
    largest = max(sizes.packed, key=lambda target: sizes.packed[target])
    needed = sizes.packed[largest] * (1 + UNPACKED)
    total = sum(sizes.packed.values()) * UNPACKED
    if needed > disk:
        yield fail(
            f"{largest} takes {_size(needed)} of disk while it is unpacked, an instance has "
            f"{_size(disk)}",
            "it would not load",
            "set endpoint.volume_size_gb",
            code="disk",
        )
    elif total > disk:
        yield warn(
            f"all models unpacked take {_size(total)} of disk, an instance has {_size(disk)}",
            "models are deleted from the disk and fetched again",
            "set endpoint.volume_size_gb",
            code="disk",
        )
    else:
        yield ok(f"disk: {_size(total)} of {_size(disk)}")


def _size(number: float) -> str:
    for unit, length in (("GB", 1e9), ("MB", 1e6)):
        if number >= length:
            return f"{number / length:.1f} {unit}"
    return f"{number / 1e3:.1f} kB"
