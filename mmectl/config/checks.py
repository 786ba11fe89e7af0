"""Checks across keys, and problems as text with file, line and column.

pydantic's errors; words that AWS would refuse later; names and limits of SageMaker, by botocore's
own service model; and what does not fit together.
"""

from __future__ import annotations

import itertools
import os
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmectl.base import partitions
from mmectl.base.errors import UsageError
from mmectl.base.instances import instance_type
from mmectl.config import accelerators, environments, security
from mmectl.config.keys import flatten, section_at
from mmectl.config.limits import problems_of_limits
from mmectl.config.scaling import scaling_problems
from mmectl.config.sections.autoscaling import Schedule
from mmectl.config.sections.endpoint import Endpoint, ProductionVariant
from mmectl.config.sections.image import Image
from mmectl.config.sections.models import Model
from mmectl.config.sections.settings import Settings
from mmectl.config.usable import Usable
from mmectl.config.usable import usable as usable_of
from mmectl.config.yaml_values import Tree, near_miss, shown, unknown_key
from mmectl.frameworks import detect
from mmectl.frameworks.mxnet import zoo
from mmectl.images import handler
from mmectl.registry.names import check_name
from mmectl.sources.origin import parse
from mmectl.spec import alarms, policy, tags

MOST_ALARMS = 10  # AutoRollbackConfig
MOST = 200  # wrong types that are put into words; each looks for a near miss

_EXPECTED = {
    "string_type": "text; put it in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
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
    "aws.role": (r"arn:.*|[\w+=,.@/-]{1,128}", "a role's name or ARN"),
    "bucket.name": (
        r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "3 to 63 lowercase letters, digits, dots and hyphens",
    ),
    "bucket.prefix": (r"[\w!.*'()=/-]*", "folders of letters, digits and ! - _ . * ' ( )"),
    "image.repository": (
        r"(?=.{2,256}$)[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*",
        "2 to 256 lowercase letters, digits and . _ - /",
    ),
}

# API reference, ContainerDefinition: the environment of a container has 32 KB at most in all
_MOST_ENVIRONMENT = 32 * 1024
# Types with instance storage, where SageMaker refuses VolumeSizeInGB (SageMaker developer guide,
# host-instance-storage): a `d` after the generation, and families that always have it
_DISKS = re.compile(r"ml\.(?:[a-z]+\d[a-z]*d[a-z]*|g5|g6e?|gr6|p4de?|p5e?n?|trn\d\w*|i\d\w*)\.\w+")

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
    "endpoint.inference_ami": "ProductionVariantInferenceAmiVersion",
    "endpoint.startup_timeout": "ProductionVariantContainerStartupHealthCheckTimeoutInSeconds",
    "endpoint.environment": "EnvironmentMap",
    "capture.percentage": "SamplingPercentage",
    "capture.destination": "DestinationS3Uri",
}


_OF_VARIANT = {
    "name": "VariantName",
    "instance_type": "ProductionVariantInstanceType",
    "instance_count": "InitialTaskCount",
    "volume_size_gb": "ProductionVariantVolumeSizeInGB",
}


def validate(tree: Tree, path: Path | None) -> tuple[Settings | None, list[str]]:
    """The settings, None where they have not even the right types, and every problem.

    `path` is the file, against which folders are looked for.
    """
    found = usable_of(tree.value)
    problems = [_problem_of(tree, item) for item in found.errors[:MOST]]
    if found.settings is not None:
        problems += [tree.at(key, text) for key, text in _problems(found.settings, path, found)]
    limits = problems_of_limits(_limited(tree))
    problems += [tree.at(key, text) for key, text in limits]
    return (None if found.errors else found.settings), problems


def _problem_of(tree: Tree, item: Mapping[str, Any]) -> str:
    """One pydantic error where it stands."""
    key = ".".join(str(part) for part in item["loc"])
    return tree.at(key, _words(item, tree.written.get(key)))


def _words(item: Mapping[str, Any], written: str | None) -> str:
    """One pydantic error in our words; `written` is how a number or boolean was written."""
    kind, context = item["type"], item.get("ctx", {})
    value = shown(item.get("input"))
    if kind in _EXPECTED and written is not None and item.get("input") is not None:
        value = written
    if kind == "extra_forbidden":
        return unknown_key(str(item["loc"][-1]), _siblings(item["loc"]))
    if kind == "missing":
        return "missing"
    if kind == "literal_error":
        expected = str(context["expected"])
        choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
        near = near_miss(item["input"], choices) if isinstance(item.get("input"), str) else ""
        return f"is {value}, must be {expected}{near}"
    if kind in _EXPECTED:
        return f"is {value}, must be {_EXPECTED[kind]}"
    return f"is {value}: {item['msg'][:1].lower()}{item['msg'][1:]}"


def _siblings(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are known where `loc` stands."""
    if len(loc) == 1:
        return [*Settings.model_fields, environments.KEY]
    if loc[0] == "models":
        return list(Model.model_fields)
    if loc[:2] == ("endpoint", "variants") and len(loc) > 2:
        return list(ProductionVariant.model_fields)
    if loc[:2] == ("autoscaling", "schedule") and len(loc) > 2:
        return list(Schedule.model_fields)
    section = section_at(loc[:-1])
    return list(section.model_fields) if section else []


def _problems(settings: Settings, path: Path | None, found: Usable) -> Iterator[tuple[str, str]]:
    """(dotted key, what is wrong) of settings whose types are right.

    Nothing is said of what was left out, nor of what goes with it.
    """
    each = [_word_problems(settings), _models_problems(settings, path)]
    each += [_address_problems(settings), _folder_problems(settings, path)]
    together = [
        check(settings)
        for check, sections in _TOGETHER
        if not any(found.touches(section) for section in sections)
    ]
    for key, text in itertools.chain(*each, *together):
        place = found.place(key)
        if not found.touches(place):
            yield place, text


def _address_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    try:
        urllib.parse.urlsplit(settings.zoo.base_url)
    except ValueError as error:
        yield "zoo.base_url", f"is {shown(settings.zoo.base_url)}: {error}"


def _folder_problems(settings: Settings, path: Path | None) -> Iterator[tuple[str, str]]:
    if (refusal := _no_path(settings.local.state_dir)) is not None:
        yield "local.state_dir", refusal
    for key in ("context", "handler"):
        folder = getattr(settings.image, key)
        if settings.image.uri is None and path is not None and folder is not None:
            refusal = _no_folder(path.parent, folder)
            if refusal is not None:
                yield f"image.{key}", refusal


def _alarm_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    if alarms.DEFAULTS in settings.update.alarms and not settings.alarms.defaults:
        yield "update.alarms", "has defaults, which there are with alarms.defaults: true alone"
    variants = settings.endpoint.variant_names
    named = alarms.named(settings.update.alarms, "endpoint", variants)
    if len(named) > MOST_ALARMS:
        text = f"stands for {len(named)} alarms, of which SageMaker takes {MOST_ALARMS}"
        each = " of each variant" if len(variants) > 1 else ""
        yield "update.alarms", f"{text}: defaults are two{each}"
    if settings.alarms.sns is not None and not settings.alarms.defaults:
        yield "alarms.sns", "is told by the alarms of alarms.defaults: true, which is not set"


def _policy_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    refused = policy.problem(settings.update.as_policy())
    if refused is not None:
        yield f"update.{refused[0]}", refused[1]


def _index_problem(index: str) -> str | None:
    """What is wrong with the address of a package index; it is not shown where it has a password.

    Configuration is printed and digested: logins do not belong there.
    """
    try:
        parts = urllib.parse.urlsplit(index)
        host = parts.hostname
    except ValueError:
        return "is no address"
    if parts.username or parts.password:
        return "has a login in it: leave that out, and put USER:PASSWORD into MMECTL_INDEX_LOGIN"
    plain = index.isprintable() and not set(index) & set(" |\"'`$\\")
    if parts.scheme not in ("https", "http") or not host or not plain:
        return f"is {shown(index)}, must be an address such as https://HOST/simple"
    return None


def _image_problems(image: Image) -> Iterator[tuple[str, str]]:
    if image.handler is not None and image.uri is not None:
        yield "image.handler", "is built into an image, image.uri names one: leave one of both out"
    if image.index is not None and (refusal := _index_problem(image.index)) is not None:
        yield "image.index", refusal
    for index, name in enumerate(image.frameworks or ()):
        if name == detect.ANY:
            yield f"image.frameworks.{index}", "is 'any': that is what image.handler serves"
        elif (refusal := detect.unknown(name)) is not None:
            yield f"image.frameworks.{index}", refusal
    for index, line in enumerate(image.requirements):
        if not handler.REQUIREMENT.fullmatch(line):
            yield (
                f"image.requirements.{index}",
                f"is {shown(line)}, must be a package with its version, such as pandas==2.3.3",
            )


def has_disks(instance_type: str) -> bool:
    """Whether instances of that type have storage of their own, beside or instead of a volume."""
    return _DISKS.fullmatch(instance_type) is not None


def _no_path(path: Path) -> str | None:
    """Why no file system takes it; None where one may."""
    try:
        parts = [len(os.fsencode(part)) for part in path.parts]
    except UnicodeEncodeError:
        return f"{shown(str(path))} is not a path"
    if "\0" in str(path):
        return f"{shown(str(path))} is not a path: it holds a NUL"
    if max(parts, default=0) > 255 or sum(parts) + len(parts) > 4_000:
        return (
            f"{shown(str(path))} is not a path: a name in it is longer than 255 bytes, or all 4,000"
        )
    return None


def _no_folder(base: Path, path: Path) -> str | None:
    """Why it is no folder that can be read; None where it is one."""
    if (refusal := _no_path(path)) is not None:
        return refusal
    try:
        found = (base / path).is_dir()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None if found else f"no such folder: {path}"


def _word_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) for every word that AWS would refuse later."""
    values = flatten(settings)
    for key, (pattern, rule) in _WORDS.items():
        value = values[key]
        if value is not None and not re.fullmatch(pattern, value):
            yield key, f"is {shown(value)}, must be {rule}"
    if (refusal := _region_problem(settings.aws.region)) is not None:
        yield "aws.region", refusal
    for name in settings.aws.tags:
        if name.lower().startswith("aws:"):
            yield "aws.tags", f"{name!r}: names that begin with aws: belong to AWS"
    if (refusal := _destination_problem(settings.capture.destination)) is not None:
        yield "capture.destination", refusal
    prefix = settings.bucket.prefix
    if prefix is None:
        return
    if ".." in prefix.split("/"):
        yield "bucket.prefix", "must not contain '..'"
    if not prefix.endswith("/") or prefix.startswith("/") or "//" in prefix:
        rule = "must end with '/', not start with '/', without '//'"
        yield "bucket.prefix", f"is {shown(prefix)}, {rule}"


def _region_problem(region: str | None) -> str | None:
    if region is None:
        return None
    if not partitions.is_region(region):
        return f"is {shown(region)}, must be a region such as us-east-1"
    meant = partitions.misspelled(region)
    return f"is {shown(region)}, which is no region; did you mean {meant}?" if meant else None


def _destination_problem(destination: str | None) -> str | None:
    """What is wrong with where captured requests go."""
    bucket = _WORDS["bucket.name"][0]
    if destination is None or re.fullmatch(rf"s3://{bucket}(/[\w!.*'()=/-]*)?", destination):
        return None
    bare = destination.removeprefix("https://").removeprefix("s3:").strip("/")
    meant = f"; did you mean 's3://{bare}'?" if re.fullmatch(rf"{bucket}(/.*)?", bare) else ""
    return f"is {shown(destination)}, must be s3://BUCKET/PREFIX{meant}"


def _sagemaker_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """What SageMaker would refuse though each value is right."""
    if (refusal := tags.problem(len(settings.aws.tags))) is not None:
        yield "aws.tags", refusal
    endpoint = settings.endpoint
    taken = sum(len(text.encode()) for pair in endpoint.environment.items() for text in pair)
    if taken > _MOST_ENVIRONMENT:
        text = f"has {taken:,} bytes in all, SageMaker takes {_MOST_ENVIRONMENT:,}"
        yield "endpoint.environment", f"{text}: put large values into a file of the image"
    if endpoint.volume_size_gb is not None and has_disks(endpoint.instance_type):
        text = f"{endpoint.instance_type} has disks of its own, and takes no volume: leave it out"
        yield "endpoint.volume_size_gb", text


def _variants_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """What does not fit together of several variants."""
    endpoint, seen = settings.endpoint, set[str]()
    if not endpoint.variants:
        return
    if endpoint.variant != Endpoint.model_fields["variant"].default:
        yield "endpoint.variant", "names the only variant, endpoint.variants several: leave it out"
    if not any(one.weight for one in endpoint.variants):
        yield "endpoint.variants", "all have the weight 0: no request would go anywhere"
    if settings.update.policy == "rolling" and len(endpoint.variants) > 1:
        yield "update.policy", "is rolling, which SageMaker has for one variant alone"
    architecture = instance_type(endpoint.instance_type).architecture
    for number, one in enumerate(endpoint.variants):
        where, kind = f"endpoint.variants.{number}", one.instance_type or endpoint.instance_type
        if one.name in seen:
            yield f"{where}.name", f"{shown(one.name)} appears twice"
        seen.add(one.name)
        if instance_type(kind).architecture != architecture:
            text = f"is {kind}, of another architecture than endpoint.instance_type: "
            yield f"{where}.instance_type", text + "one image serves all variants"
        if one.volume_size_gb is not None and has_disks(kind):
            text = f"{kind} has disks of its own, and takes no volume: leave it out"
            yield f"{where}.volume_size_gb", text


def _models_problems(settings: Settings, path: Path | None) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for index, model in enumerate(settings.models):
        where = f"models.{index}"
        for key, text in _model_problems(model, path):
            yield f"{where}.{key}", text
        if sum(item is not None for item in (model.path, model.zoo, model.source)) != 1:
            yield where, f"model '{model.name}' needs one of path, zoo and source"
        if model.name in seen:
            yield f"{where}.name", f"'{model.name}' appears twice in models"
        seen.add(model.name)


def _model_problems(model: Model, path: Path | None) -> Iterator[tuple[str, str]]:
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
        refusal = _no_folder(path.parent, model.path)
        if refusal is not None:
            yield "path", refusal


def _limited(tree: Tree) -> dict[str, tuple[str, Any]]:
    """Dotted key -> (shape, value) of what is set; checked even where other keys are wrong."""
    limited = {key: (shape, tree.get(key)) for key, shape in _LIMITED.items()}
    for key in ("aws.role", "build.codebuild_role"):
        role = tree.get(key)
        if isinstance(role, str) and role.startswith("arn:"):
            limited[key] = ("RoleArn", role)
    for name, shape in (("csv_types", "CsvContentType"), ("json_types", "JsonContentType")):
        given = tree.get(f"capture.{name}")
        for number, kind in enumerate(given if isinstance(given, list) else ()):
            limited[f"capture.{name}.{number}"] = (shape, kind)
    variants = tree.get("endpoint.variants")
    for number, one in enumerate(variants if isinstance(variants, list) else ()):
        for name, shape in _OF_VARIANT.items():
            found = one.get(name) if isinstance(one, dict) else None
            limited[f"endpoint.variants.{number}.{name}"] = (shape, found)
    return {key: pair for key, pair in limited.items() if pair[1] is not None}


# checks of what does not fit together, with the sections that they look at
_TOGETHER: tuple[tuple[Callable[[Settings], Iterator[tuple[str, str]]], tuple[str, ...]], ...] = (
    (_sagemaker_problems, ("aws", "endpoint")),
    (security.problems, ("network", "aws")),
    (accelerators.problems, ("endpoint", "image")),
    (_variants_problems, ("endpoint", "update")),
    (_alarm_problems, ("update", "alarms", "endpoint")),
    (_policy_problems, ("update",)),
    (lambda it: scaling_problems(it.autoscaling, it.endpoint), ("autoscaling", "endpoint")),
    (lambda it: _image_problems(it.image), ("image",)),
)
