"""Invocations of variants, counted between two looks. On the way of every request: no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from mmectl.local.values import FleetSpec, Put

PutsOf = Callable[[FleetSpec], Put]
_COUNTED = "Invocations"


class Counts:
    """Counts by endpoint and variant."""

    def __init__(self) -> None:
        self._since: Counter[tuple[str, str]] = Counter()

    def beside(self, puts: PutsOf) -> PutsOf:
        """Where measures go, with the invocations counted here, too."""

        def puts_of(spec: FleetSpec) -> Put:
            put, key = puts(spec), (spec.endpoint, spec.variant)

            def both(metric: str, value: float) -> None:
                put(metric, value)
                if metric == _COUNTED:
                    self.add(key, int(value))

            return both

        return puts_of

    def add(self, place: tuple[str, str], number: int) -> None:
        """Count invocations of an endpoint's variant."""
        self._since[place] += number

    def take(self) -> Counter[tuple[str, str]]:
        """What was counted since it was taken last."""
        found, self._since = self._since, Counter()
        return found
