"""The group of `mmectl models`, and what its commands share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import UsageError
from mmectl.base.text import age
from mmectl.commands.common import CommandGroup
from mmectl.registry.inventory import Model
from mmectl.registry.names import SUFFIX, ambiguous

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.registry.names import Artifact


_EXAMPLES = """\b
Examples:
  mmectl models list
  mmectl models check ./my_model --forward
  mmectl models promote resnet_18 v2
  mmectl models rollback resnet_18"""


@click.group(cls=CommandGroup, epilog=_EXAMPLES)
def models() -> None:
    """List, check, fetch, copy, promote and remove uploaded models.

    A model has versions: NAME.tar.gz, NAME_v2.tar.gz, ... Its name alone means the
    current version: the last one promoted, or the newest where none was promoted.
    """


def known(app: App, name: str, *, guess: bool = False) -> Model:
    """The model of that name, or of that version or key.

    Raises ArtifactError ``unknown_model`` with the near misses; ``ambiguous`` where the name is
    that of another's version, too, unless it may be guessed.
    """
    model = app.inventory.model(name)
    if model and not guess and (other := app.inventory.beside(name)):
        raise ambiguous(name, other.name)
    if model is None:
        found = app.inventory.meant(name)  # names the near miss, or knows the version's model
        model = app.inventory.model(found.name)
        if model is None:  # an object of another ending
            return Model(found.name, (found,))
    return model


def versioned(app: App, name: str) -> Model:
    """As `known`; UsageError for an object that is no ``.tar.gz``: it has no versions."""
    model = known(app, name)
    if not model.versions[0].target_model.endswith(SUFFIX):
        raise UsageError(
            f"{name}: is one object and has no versions",
            hint=f"to give it some: mmectl models copy {name} NAME",
            code="no_versions",
        )
    return model


def ago(when: datetime) -> str:
    """How long ago, for people."""
    return age((datetime.now(timezone.utc) - when).total_seconds())


def short(digest: str | None) -> str:
    """A digest as tables show it."""
    return digest[:8] if digest else "-"


def artifact_data(artifact: Artifact) -> Mapping[str, Any]:
    """One version for machines."""
    return {
        "version": artifact.version,
        "target_model": artifact.target_model,
        "size": artifact.size,
        "uploaded": artifact.modified.isoformat(),
        "digest": artifact.digest,
        "untrained": artifact.untrained,
        "framework": artifact.framework or None,
    }
