"""What is wrong with the entries of `models`, though each of their values is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmectl.base.errors import UsageError
from mmectl.config.checks.folders import no_folder
from mmectl.config.sections.models import Model
from mmectl.config.sections.settings import Settings
from mmectl.config.yaml_values import shown
from mmectl.frameworks import detect
from mmectl.frameworks.mxnet import zoo
from mmectl.registry.names import check_name
from mmectl.sources.origin import parse


def problems(settings: Settings, path: Path | None) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of each entry; `path` is the configuration's file."""
    seen: set[str] = set()
    for index, model in enumerate(settings.models):
        where = f"models.{index}"
        for key, text in _of_model(model, path):
            yield f"{where}.{key}", text
        if sum(item is not None for item in (model.path, model.zoo, model.source)) != 1:
            yield where, f"model '{model.name}' needs one of path, zoo and source"
        if model.name in seen:
            yield f"{where}.name", f"'{model.name}' appears twice in models"
        seen.add(model.name)


def _of_model(model: Model, path: Path | None) -> Iterator[tuple[str, str]]:
    try:
        check_name(model.name)
    except UsageError as error:
        yield "name", error.message
    if model.zoo is not None and model.zoo not in zoo.MODELS:
        yield "zoo", f"is {shown(model.zoo)}, known are {', '.join(zoo.MODELS)}"
    if model.framework is not None and (unknown := detect.unknown(model.framework)):
        yield "framework", unknown
    if model.source is not None:
        try:
            parse(model.name, model.source, model.sha256, path.parent if path else Path())
        except UsageError as error:
            yield "source", error.message
        web = model.source.startswith(("http://", "https://"))
        if web and not model.sha256 and "#sha256=" not in model.source:
            yield "source", "needs the tarball's checksum: add sha256"
    if model.path is not None and path is not None:
        refusal = no_folder(path.parent, model.path)
        if refusal is not None:
            yield "path", refusal
