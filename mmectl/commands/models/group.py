"""The group of `mmectl models`, and what its commands share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from mmectl.commands.status import age
from mmectl.errors import ArtifactError

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.inventory import Model
    from mmectl.names import Artifact


_EXAMPLES = """\b
Examples:
  mmectl models list
  mmectl models check ./my_model --forward
  mmectl models promote resnet_18 v2
  mmectl models rollback resnet_18"""


@click.group(epilog=_EXAMPLES)
def models() -> None:
    """List, check, fetch, copy, promote and remove uploaded models.

    A model has versions: NAME.tar.gz, NAME_v2.tar.gz, ... Its name alone stands
    for the current one: the one promoted last, the newest where none was.
    """


def known(app: App, name: str) -> Model:
    """The model of that name. Raises ArtifactError ``unknown_model`` with the near misses."""
    model = app.inventory.model(name)
    if model is None:
        found = app.inventory.meant(name)  # names the near miss, or knows the version's model
        model = app.inventory.model(found.name)
    if model is None:
        raise ArtifactError(f"{name}: no such model is uploaded", code="unknown_model")
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
    }
