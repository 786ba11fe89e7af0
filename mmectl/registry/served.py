"""Which uploaded models an image would not load, by the frameworks of both. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mmectl.base.errors import ArtifactError
from mmectl.base.text import counted
from mmectl.frameworks import detect
from mmectl.registry.names import Artifact

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Unserved:
    """The models (TargetModels) of a framework that an image does not serve."""

    framework: str
    models: tuple[str, ...]


class NotServed(ArtifactError):
    """A model's `framework` is not among those that the image serves."""

    code = "not_served"

    def __init__(self, message: str, framework: str, served: Collection[str], code: str) -> None:
        super().__init__(message, hint=to_type([framework], served), code=code)
        self.framework, self.served = framework, served


def unserved(artifacts: Iterable[Artifact], served: Collection[str]) -> tuple[Unserved, ...]:
    """The models that an image which serves these would not load, by framework.

    A handler of its owner's takes any model, and each container runs scripts. Of a model without a
    framework in its metadata, which mmectl did not upload, nothing is known.
    """
    if detect.ANY in served:
        return ()
    fine = {*served, *detect.claiming(), ""}
    groups: dict[str, list[str]] = {}
    for artifact in artifacts:
        if artifact.framework not in fine:
            groups.setdefault(artifact.framework, []).append(artifact.target_model)
    return tuple(Unserved(name, tuple(sorted(found))) for name, found in sorted(groups.items()))


def told(found: Unserved, served: Collection[str], whose: str) -> str:
    """One line about the models of a framework; `whose` image serves something else."""
    names = ", ".join(found.models[:_NAMED])
    more = len(found.models) - _NAMED
    names += f" and {more:,} more" if more > 0 else ""
    subject = f"{counted(len(found.models), 'model')} of {found.framework}"
    listed = ", ".join(served)
    return f"{subject} would not load, as {whose} serves {listed} alone: {names}"


def to_type(frameworks: Iterable[str], served: Collection[str]) -> str:
    """What makes an image that serves these load models of those frameworks, too."""
    wanted = {*served, *frameworks} - {detect.ANY}
    if detect.ANY in frameworks:
        return "image.handler: ./FOLDER with your inference.py, or a container of your own"
    listed = ", ".join(sorted(wanted))
    return f"image.frameworks: [{listed}] in config.yaml, then mmectl build and mmectl deploy"
