"""What models are expected to take in memory, learned from those that were measured. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort

LARGER = 2  # a measurement is an estimate only for models at least half its size on disk
SLACK = 1 << 16  # bytes by which an archive claims more than its files, whatever their size


class FootprintEstimates:
    """Bytes in memory by TargetModel, and by bytes on disk."""

    def __init__(self) -> None:
        self._memory: dict[str, int] = {}
        self._largest: dict[int, int] = {}  # bytes on disk -> most memory that one of these took
        self._disks: list[int] = []  # its keys in order

    def learn(self, target: str, disk: int, memory: int) -> None:
        """A model with so many bytes on disk was measured."""
        self._memory[target] = memory
        if disk not in self._largest:
            insort(self._disks, disk)
        self._largest[disk] = max(memory, self._largest.get(disk, 0))

    def forget(self, target: str) -> None:
        """Another model has that name by now."""
        self._memory.pop(target, None)

    def of(self, target: str) -> int | None:
        """What that very model took when it was last measured; None if it never was."""
        return self._memory.get(target)

    def expected(self, target: str, disk: int) -> int | None:
        """What it took, else what the next larger one took; None where neither is known.

        Only models up to `LARGER` times as large count: a large one says nothing of a small one.
        """
        known = self._memory.get(target)
        if known is not None:
            return known
        # up to an eighth less is as large: before a model is unpacked, its archive's word is taken
        place = bisect_left(self._disks, disk - disk // 8 - SLACK)
        if place == len(self._disks) or self._disks[place] > LARGER * disk:
            return None
        return self._largest[self._disks[place]]
