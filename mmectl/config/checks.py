"""What is wrong with a configuration, in words, each problem where it stands in the file.

pydantic's errors; words that AWS would refuse later; names and limits of SageMaker, by botocore's
own service model; and what does not fit together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmectl import policy
from mmectl.config.sections import Model, Settings, flatten, is_section
from mmectl.errors import UsageError
from mmectl.limits import problems_of_limits
from mmectl.model import zoo
from mmectl.model.origin import parse
from mmectl.names import check_name
from mmectl.sources import Tree, near_miss

_EXPECTED = {
    "string_type": "text; put it in quotes",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a mapping of key: value",
    "model_type": "a mapping of key: value",
    "model_attributes_type": "a mapping of key: value",
    "tuple_type": "a list",
    "path_type": "a path",
}

# Words that SageMaker's own model does not describe, with their rule in words. Buckets:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; repositories: ECR's
# service model; roles: IAM's; prefixes: S3's safe characters.
_WORDS = {
    "aws.region": (r"[a-z]{2}(-[a-z]+)+-[0-9]", "a region such as us-east-1"),
    "aws.role": (r"arn:.*|[\w+=,.@/-]{1,128}", "a role's name or ARN"),
    "bucket.name": (
        r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "3 to 63 lowercase letters, digits, dots and hyphens",
    ),
    "bucket.prefix": (r"([\w!.*'()=-]+/)+", "folders of letters, digits and ! - _ . * ' ( )"),
    "image.repository": (
        r"(?=.{2,256}$)[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*",
        "2 to 256 lowercase letters, digits and . _ - /",
    ),
}

# dotted key -> shape of botocore's sagemaker model
_LIMITED = {
    "aws.tags": "TagList",
    "image.uri": "ContainerImage",
    "endpoint.name": "EndpointName",
    "endpoint.instance_type": "ProductionVariantInstanceType",
    "endpoint.instance_count": "InitialTaskCount",
    "endpoint.variant": "VariantName",
    "endpoint.volume_size_gb": "ProductionVariantVolumeSizeInGB",
    "endpoint.model_download_timeout": "ProductionVariantModelDataDownloadTimeoutInSeconds",
    "endpoint.startup_timeout": "ProductionVariantContainerStartupHealthCheckTimeoutInSeconds",
    "endpoint.environment": "EnvironmentMap",
}


def validate(tree: Tree, path: Path | None) -> tuple[Settings | None, list[str]]:
    """The settings, None where they have not even the right types, and every problem.

    `path` is the file, against which folders are looked for.
    """
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(tree.value)
        problems = [tree.at(key, text) for key, text in _problems(settings, tree, path)]
    except ValidationError as error:
        problems = [
            tree.at(key, _words(dict(item), tree.written.get(key)))
            for item in error.errors(include_url=False)
            for key in [".".join(str(part) for part in item["loc"])]
        ]
    limits = problems_of_limits(_limited(tree))
    return settings, problems + [tree.at(key, text) for key, text in limits]


def _words(item: dict[str, Any], written: str | None) -> str:
    """One pydantic error in our words; `written` is the value as it was written, if no text."""
    kind, context = item["type"], item.get("ctx", {})
    value = item.get("input")
    if kind == "extra_forbidden":
        return "unknown key" + near_miss(str(item["loc"][-1]), _siblings(item["loc"]))
    if kind == "missing":
        return "missing"
    if kind == "literal_error":
        return f"is {value!r}, must be {context['expected']}" + near_miss(
            str(value), str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        )
    if kind in _EXPECTED:
        shown = repr(value) if written is None or value is None else written
        return f"is {shown}, must be {_EXPECTED[kind]}"
    return f"is {value!r}: {item['msg'][:1].lower()}{item['msg'][1:]}"


def _siblings(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are known where `loc` stands."""
    if len(loc) == 1:
        return list(Settings.model_fields)
    if loc[0] == "models":
        return list(Model.model_fields)
    section = Settings.model_fields[str(loc[0])].annotation
    return list(section.model_fields) if is_section(section) else []


def _problems(settings: Settings, tree: Tree, path: Path | None) -> Iterator[tuple[str, str]]:
    """(dotted key, what is wrong) of settings whose types are right."""
    yield from _word_problems(settings)
    yield from _models_problems(settings, path)
    refused = policy.problem(settings.update.as_policy())
    if refused is not None:
        yield f"update.{refused[0]}", refused[1]
    if settings.image.uri is None and path is not None:
        context = settings.image.context
        if "image.context" in tree.where and not (path.parent / context).is_dir():
            yield "image.context", f"no such folder: {context}"


def _word_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) for every word that AWS would refuse later."""
    values = flatten(settings)
    for key, (pattern, rule) in _WORDS.items():
        value = values[key]
        if value is not None and not re.fullmatch(pattern, value):
            yield key, f"is {value!r}, must be {rule}"
    for name in settings.aws.tags:
        if name.lower().startswith("aws:"):
            yield "aws.tags", f"{name!r}: names that begin with aws: belong to AWS"
    prefix = settings.bucket.prefix
    if prefix is None:
        return
    if ".." in prefix.split("/"):
        yield "bucket.prefix", "must not contain '..'"
    if not prefix.endswith("/") or prefix.startswith("/") or "//" in prefix:
        rule = "must end with '/', not start with '/', without '//'"
        yield "bucket.prefix", f"is {prefix!r}, {rule}"


def _models_problems(settings: Settings, path: Path | None) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for index, model in enumerate(settings.models):
        where = f"models.{index}"
        for key, text in _model_problems(model, path):
            yield f"{where}.{key}", text
        if sum(item is not None for item in (model.path, model.zoo, model.source)) != 1:
            yield where, f"model '{model.name}' needs one of path, zoo and source"
        if model.name in seen:
            yield f"{where}.name", f"'{model.name}' stands twice in models"
        seen.add(model.name)


def _model_problems(model: Model, path: Path | None) -> Iterator[tuple[str, str]]:
    try:
        check_name(model.name)
    except UsageError as error:
        yield "name", error.message
    if model.zoo is not None and model.zoo not in zoo.MODELS:
        yield "zoo", f"is {model.zoo!r}, known are {', '.join(zoo.MODELS)}"
    if model.source is not None:
        try:
            parse(model.name, model.source, model.sha256, path.parent if path else Path())
        except UsageError as error:
            yield "source", error.message
        web = model.source.startswith(("http://", "https://"))
        if web and not model.sha256 and "#sha256=" not in model.source:
            yield "source", "needs the tarball's checksum: add sha256"
    if model.path is not None and path is not None and not (path.parent / model.path).is_dir():
        yield "path", f"no such folder: {model.path}"


def _limited(tree: Tree) -> dict[str, tuple[str, Any]]:
    """Dotted key -> (shape, value) of what is set; checked even where other keys are wrong."""
    limited = {key: (shape, tree.get(key)) for key, shape in _LIMITED.items()}
    for key in ("aws.role", "build.codebuild_role"):
        role = tree.get(key)
        if isinstance(role, str) and role.startswith("arn:"):
            limited[key] = ("RoleArn", role)
    return {key: pair for key, pair in limited.items() if pair[1] is not None}
