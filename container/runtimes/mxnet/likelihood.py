"""The kind of a network's first output, from its graph: probabilities, logarithms or scores.

The numbers of one answer cannot tell: scores may happen to add up to one, and probabilities of
labels that do not exclude each other add up to anything. So what is known of every value goes
through the graph, operator by operator (bound_rules.py): what cannot leave [0, 1] is a probability,
and so is what is made of probabilities alone (a mean, a sum, a per cent). No MXNet needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtimes.mxnet.bound_rules import RULES, SAME, Found
from runtimes.mxnet.bounds import UNKNOWN, Known, join
from runtimes.values import Likelihood

# the graph of a loop's body, or those of two branches, come behind so many others
_BODIES = {"_foreach": 0, "_while_loop": 1, "_cond": 1}


def of(graph: Mapping[str, Any]) -> Likelihood:
    """Decide for the first output of a network, given as MXNet 1.9 writes it to JSON."""
    value = _Reading(graph).head(0)
    if value.log > 0:
        return Likelihood(value.log)
    return Likelihood.PROBABILITY if value.made and value.low >= 0 else Likelihood.SCORE


class _Reading:
    """One graph, and what is known of its nodes' outputs so far."""

    def __init__(self, graph: Mapping[str, Any]) -> None:
        self._nodes: Sequence[Mapping[str, Any]] = graph["nodes"]
        self._heads: Sequence[Sequence[int]] = graph["heads"]
        self._known: dict[tuple[int, int], Known] = {}
        self._numbers: dict[object, int] = {}

    def head(self, index: int) -> Known:
        """What is known of an output of the graph."""
        wanted = self._heads[index]
        for place in sorted(self._needed(wanted[0])):  # a node comes after its inputs
            self._read(place)
        return self._port(wanted)

    def _needed(self, last: int) -> set[int]:
        """The nodes that tell something of that one; none beyond an operator without a rule."""
        found: set[int] = set()
        left = [last]
        while left:
            place = left.pop()
            if place not in found:
                found.add(place)
                node = self._nodes[place]
                left += [s[0] for s in node["inputs"]] if node["op"] in RULES else []
        return found

    def _read(self, place: int) -> None:
        node = self._nodes[place]
        operator, attributes = node["op"], node.get("attrs", {})
        found: Found
        key: object = place
        if operator in RULES:
            given = [self._port(source) for source in node["inputs"]]
            found = RULES[operator](given, attributes)
            key = (operator, *sorted(attributes.items()), *(one.number for one in given))
        else:
            found = self._of_bodies(node)
        for port, value in enumerate(found if isinstance(found, tuple) else (found,)):
            same = operator in SAME and value.number >= 0
            self._known[place, port] = value.numbered(
                value.number if same else self._number((key, port))
            )

    def _number(self, key: object) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _port(self, source: Sequence[int]) -> Known:
        """One output of a node; where only the first is described, the others are like it."""
        place, port = source[0], source[1]
        if (place, port) not in self._known:
            first = self._known[place, 0]
            self._known[place, port] = first.numbered(self._number((place, port)))
        return self._known[place, port]

    def _of_bodies(self, node: Mapping[str, Any]) -> Found:
        """What the graphs inside of a node give."""
        bodies = node.get("subgraphs", [])[_BODIES.get(node["op"], 0) :]
        if node["op"] not in _BODIES or not bodies:
            return UNKNOWN
        count = min(len(body["heads"]) for body in bodies)
        outputs = ([_Reading(body).head(port) for body in bodies] for port in range(count))
        return tuple(join(values) for values in outputs)
