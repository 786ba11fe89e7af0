"""config.yaml -> Config: every problem at once, each with file:line:column.

Compose the YAML with positions, lay environment and flags over it, validate with pydantic
(strict, frozen, unknown keys refused with the near miss), check names and limits against
botocore's own service model, resolve paths against the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmectl import policy
from mmectl.errors import ConfigError, UsageError
from mmectl.limits import problems_of_limits
from mmectl.model import zoo
from mmectl.model.origin import parse
from mmectl.names import check_name
from mmectl.policy import Policy
from mmectl.sources import Tree, near_miss, overlay, read_yaml

ENVIRONMENT_PREFIX = "MMECTL_"
FILE_NAME = "config.yaml"


class Section(BaseModel):
    """Strict and frozen; unknown keys are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Aws(Section):
    """Where and as whom."""

    region: str | None = Field(None, description="AWS region; null: AWS_REGION or the profile's")
    profile: str | None = Field(None, description="profile of ~/.aws/config")
    role: str | None = Field(None, description="execution role, name or ARN; null: found")
    tags: dict[str, str] = Field({}, description="tags of everything that is created")


class Bucket(Section):
    """Where the models lie."""

    name: str | None = Field(None, description="null: sagemaker-<region>-<account>")
    prefix: str | None = Field(None, description="ends with '/'; null: <endpoint.name>/")


class Image(Section):
    """The container that serves."""

    uri: str | None = Field(None, description="serve this image instead of building one")
    repository: str = Field("mmectl-mxnet", description="ECR repository of the built image")
    context: Path = Field(Path("container"), description="folder of the Dockerfile", strict=False)
    python: str | None = Field(None, description="Python 3.8-3.13 for local serving; null: found")


class Build(Section):
    """How the image is built and kept, with platform aws."""

    backend: Literal["auto", "docker", "buildah", "codebuild"] = Field(
        "auto", description="what builds; auto: what is there, docker first"
    )
    base_image: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$",
        description="build argument BASE_IMAGE; null: the Dockerfile's own",
    )
    smoke_test: bool = Field(True, description="try the container before it is pushed")
    scan_on_push: bool = Field(True, description="of a repository that is created")
    keep_images: int = Field(
        20, ge=1, le=1000, description="lifecycle rule of a repository that is created"
    )
    codebuild_role: str | None = Field(
        None, description="role of AWS CodeBuild, name or ARN; needed by its backend"
    )


class Endpoint(Section):
    """The multi-model endpoint."""

    name: str = Field("multi-model", description="letters, digits and hyphens, at most 63")
    instance_type: str = Field("ml.m5.xlarge", description="a CPU instance type")
    instance_count: int = Field(1, description="instances behind the endpoint")
    variant: str = Field("AllTraffic", description="name of the production variant")
    model_cache: Literal["Enabled", "Disabled"] = Field(
        "Enabled", description="Disabled: a model is unloaded after every request"
    )
    workers_per_model: int = Field(1, ge=1, le=64, description="processes per model and instance")
    omp_threads: int | None = Field(
        None,
        ge=1,
        le=192,
        description="OpenMP threads of one such process; null: one for each core, 4 at most",
    )
    volume_size_gb: int | None = Field(None, description="size of an instance's volume, GB")
    model_download_timeout: int | None = Field(None, description="seconds")
    startup_timeout: int | None = Field(None, description="seconds until the container answers")
    environment: dict[str, str] = Field({}, description="further variables for the container")
    deploy_timeout: int = Field(1800, ge=1, description="seconds that deploy waits")


class Update(Section):
    """How deploy changes an endpoint that serves already."""

    policy: Literal["all_at_once", "canary", "linear", "rolling"] = Field(
        "all_at_once", description="how traffic goes to the new instances"
    )
    step: int | None = Field(
        None, description="percent of the first (canary), each step (linear), batch (rolling)"
    )
    wait: int = Field(0, ge=0, le=3600, description="seconds after every step; alarms are watched")
    termination_wait: int = Field(
        0, ge=0, le=3600, description="seconds for which the old instances stay in the end"
    )
    timeout: int | None = Field(None, ge=600, le=28800, description="seconds for all of it")
    alarms: tuple[str, ...] = Field(
        (), strict=False, max_length=10, description="CloudWatch alarms that roll back"
    )

    def as_policy(self) -> Policy:
        """The policy as `endpoint` wants it."""
        return Policy(
            self.policy, self.step, self.wait, self.termination_wait, self.timeout, self.alarms
        )


class Model(Section):
    """One model that `upload --all` uploads: `path`, `zoo` or `source`."""

    name: str = Field(description="logical name; the object is <name>.tar.gz")
    path: Path | None = Field(None, description="model folder", strict=False)
    zoo: str | None = Field(None, description="name in the MXNet model zoo")
    source: str | None = Field(
        None, description="folder, tarball, s3://, file://, or https:// with its sha256"
    )
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-fA-F]{64}$", description="checksum of the source's tarball"
    )


class Zoo(Section):
    """The MXNet model zoo or a mirror of it."""

    base_url: str = Field(
        "http://data.mxnet.io/models/imagenet/",
        pattern=r"^(https?|file)://",
        description="http://, https:// or file://",
    )


class Invoke(Section):
    """Asking models."""

    timeout: int = Field(420, ge=1, description="seconds, cold start and retries included")


class Local(Section):
    """The embedded platform."""

    state_dir: Path = Field(
        Path(".mmectl"), description="objects, environments, logs", strict=False
    )
    port: int = Field(0, ge=0, le=65535, description="0: a free one, then always the same")
    runtime: Literal["auto", "process", "docker"] = Field(
        "auto", description="what an instance is; auto: docker where an engine and the image are"
    )
    memory_mb: int | None = Field(
        None, ge=1, description="memory for models on one instance; null: as its type has"
    )
    disk_mb: int | None = Field(
        None, ge=1, description="disk for models on one instance; null: its volume"
    )


class Settings(Section):
    """The whole file."""

    platform: Literal["local", "aws"] = Field(
        "local", description="local: embedded on this machine; aws: an AWS account"
    )
    aws: Aws = Aws()
    bucket: Bucket = Bucket()
    image: Image = Image()
    build: Build = Build()
    endpoint: Endpoint = Endpoint()
    update: Update = Update()
    models: tuple[Model, ...] = Field((), strict=False, description="what upload --all uploads")
    zoo: Zoo = Zoo()
    invoke: Invoke = Invoke()
    local: Local = Local()


@dataclass(frozen=True, slots=True)
class Config:
    """Valid settings, the file they come from and the origin of every value.

    `origins` maps a dotted key to ``default``, ``file:line``, ``environment NAME`` or ``flag``.
    """

    settings: Settings
    path: Path | None
    origins: Mapping[str, str]

    def resolve(self, path: Path) -> Path:
        """A path of the configuration, relative to its file (else the working directory)."""
        base = self.path.parent if self.path else Path.cwd()
        return path if path.is_absolute() else base / path

    @property
    def prefix(self) -> str:
        """The key prefix of the models; ends with '/'."""
        return self.settings.bucket.prefix or f"{self.settings.endpoint.name}/"

    @property
    def state_dir(self) -> Path:
        """Where this project's own state lives, absolute."""
        return self.resolve(self.settings.local.state_dir).absolute()


def load(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Config:
    """Read, lay over, validate. Raises ConfigError with every problem found.

    `path` None: config.yaml of the working directory, or all defaults when there is none.
    `flags` are dotted keys with YAML scalars as text.
    """
    found = path or (Path(FILE_NAME) if Path(FILE_NAME).exists() else None)
    tree = read_yaml(found) if found else Tree({}, {}, ())
    problems = list(tree.problems)
    names = _environment(environment if environment is not None else os.environ)
    keys = _leaf_keys()
    for source, values in (("environment", names), ("flag", flags or {})):
        tree, more = overlay(tree, values, source, keys)
        problems += more
    settings = _validate(tree, problems)
    if settings is not None:
        problems += _cross_check(settings, tree, found)
    problems += [tree.at(key, text) for key, text in problems_of_limits(_limited(tree))]
    if settings is None or problems:
        raise ConfigError(
            _in_order(problems), hint="see the annotated config.yaml, or: mmectl config schema"
        )
    return Config(settings, found.absolute() if found else None, _origins(settings, tree))


def schema() -> dict[str, Any]:
    """The JSON schema of config.yaml, for editors."""
    return Settings.model_json_schema()


def flatten(settings: Settings) -> dict[str, Any]:
    """Dotted key -> value, in the file's order; `models` stays one list."""
    flat: dict[str, Any] = {}
    for name, value in settings.model_dump(mode="json").items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": item for key, item in value.items()})
        else:
            flat[name] = value
    return flat


def _leaf_keys() -> dict[str, str]:
    """Dotted key -> environment variable."""
    keys: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            keys.update({f"{name}.{key}": f"{name}_{key}" for key in section.model_fields})
        else:
            keys[name] = name
    return {key: ENVIRONMENT_PREFIX + name.upper() for key, name in keys.items()}


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {key: variables[name] for key, name in _leaf_keys().items() if name in variables}


def _validate(tree: Tree, problems: list[str]) -> Settings | None:
    try:
        return Settings.model_validate(tree.value)
    except ValidationError as error:
        problems += [
            tree.at(_dotted(item["loc"]), _words(dict(item)))
            for item in error.errors(include_url=False)
        ]
        return None


def _dotted(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc)


def _words(item: dict[str, Any]) -> str:
    """One pydantic error in our words."""
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
        return f"is {value!r}, must be {_EXPECTED[kind]}"
    return f"is {value!r}: {item['msg'][:1].lower()}{item['msg'][1:]}"


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


def _siblings(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are known where `loc` stands."""
    if len(loc) == 1:
        return list(Settings.model_fields)
    if loc[0] == "models":
        return list(Model.model_fields)
    section = Settings.model_fields[str(loc[0])].annotation
    return (
        list(section.model_fields)
        if isinstance(section, type) and issubclass(section, Section)
        else []
    )


def _cross_check(settings: Settings, tree: Tree, path: Path | None) -> list[str]:
    problems = [tree.at(key, text) for key, text in _word_problems(settings)]
    seen: dict[str, int] = {}
    for index, model in enumerate(settings.models):
        where = f"models.{index}"
        problems += [tree.at(f"{where}.{key}", text) for key, text in _model_problems(model, path)]
        if sum(item is not None for item in (model.path, model.zoo, model.source)) != 1:
            text = f"model '{model.name}' needs one of path, zoo and source"
            problems.append(tree.at(where, text))
        if model.name in seen:
            problems.append(tree.at(f"{where}.name", f"'{model.name}' stands twice in models"))
        seen.setdefault(model.name, index)
    refused = policy.problem(settings.update.as_policy())
    if refused is not None:
        problems.append(tree.at(f"update.{refused[0]}", refused[1]))
    prefix = settings.bucket.prefix
    if prefix is not None and (
        not prefix.endswith("/") or prefix.startswith("/") or "//" in prefix
    ):
        problems.append(
            tree.at(
                "bucket.prefix",
                f"is {prefix!r}, must end with '/', not start with '/', without '//'",
            )
        )
    if settings.image.uri is None and path is not None:
        context = settings.image.context
        folder = context if context.is_absolute() else path.parent / context
        if "image.context" in tree.where and not folder.is_dir():
            problems.append(tree.at("image.context", f"no such folder: {context}"))
    return problems


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
    if ".." in (settings.bucket.prefix or "").split("/"):
        yield "bucket.prefix", "must not contain '..'"


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


def _limited(tree: Tree) -> dict[str, tuple[str, Any]]:
    """Dotted key -> (shape, value) of what is set; checked even where other keys are wrong."""
    limited = {key: (shape, tree.get(key)) for key, shape in _LIMITED.items()}
    for key in ("aws.role", "build.codebuild_role"):
        role = tree.get(key)
        if isinstance(role, str) and role.startswith("arn:"):
            limited[key] = ("RoleArn", role)
    return {key: pair for key, pair in limited.items() if pair[1] is not None}


def _origins(settings: Settings, tree: Tree) -> dict[str, str]:
    return {key: tree.origin(key) for key in flatten(settings)}


def _in_order(problems: list[str]) -> tuple[str, ...]:
    """Each problem once, in the order of the file."""

    def place(problem: str) -> tuple[int, int]:
        found = re.match(r"[^:]+:(\d+):(\d+) ", problem)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    return tuple(sorted(dict.fromkeys(problems), key=place))
