"""Which versions of a model may go, and what their removal breaks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmectl.registry.inventory import Model
from mmectl.registry.names import Artifact


def pruned(model: Model, keep: int) -> tuple[Artifact, ...]:
    """The versions that are neither current nor one of the `keep` newest others.

    Nothing where the current version is gone: somebody has to look at that first.
    """
    current = model.current
    if current is None:
        return ()
    others = [item for item in model.versions if item.version != current.version]
    return tuple(others[: max(0, len(others) - keep)])


def breaks(model: Model, chosen: Sequence[Artifact], holders: Mapping[str, int]) -> list[str]:
    """One line for each version whose removal is felt: it is current, or in memory."""
    lines = []
    for item in chosen:
        reasons = []
        if model.current and item.version == model.current.version:
            reasons.append(f"it is the current version of {model.name}")
        if held := holders.get(item.target_model):
            reasons.append(f"it is in memory on {held} instance{'s' if held > 1 else ''}")
        if reasons:
            lines.append(f"{item.target_model}: {' and '.join(reasons)}")
    return lines
