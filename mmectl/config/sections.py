"""The sections of config.yaml as pydantic models: defaults, descriptions, ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mmectl.spec import alarms, scaling
from mmectl.spec import capture as spec_capture
from mmectl.spec import network as spec_network
from mmectl.spec.policy import Policy


class Section(BaseModel):
    """Strict and frozen; unknown keys are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Aws(Section):
    """Where and as whom."""

    region: str | None = Field(
        None, description="AWS region; null: AWS_REGION or the profile's, us-east-1 (local)"
    )
    profile: str | None = Field(None, description="profile of ~/.aws/config")
    role: str | None = Field(None, description="execution role, name or ARN; null: found")
    tags: dict[str, str] = Field({}, description="tags of everything that is created")


class Bucket(Section):
    """Where the models lie."""

    name: str | None = Field(None, description="null: sagemaker-<region>-<account>")
    prefix: str | None = Field(None, description="ends with '/'; null: <endpoint.name>/")
    kms_key: str | None = Field(
        None, description="KMS key of what is written there; null: the bucket's default"
    )


class Image(Section):
    """The container that serves."""

    uri: str | None = Field(None, description="serve this image instead of building one")
    repository: str = Field("mmectl-mxnet", description="ECR repository of the built image")
    context: Path | None = Field(
        None,
        description="folder of the Dockerfile; null: ./container where there is one, else mmectl's",
        strict=False,
    )
    frameworks: tuple[str, ...] | None = Field(
        None,
        strict=False,
        min_length=1,
        description="what it serves; null: the frameworks of models, mxnet where there are none",
    )
    handler: Path | None = Field(
        None,
        description="folder with inference.py (and requirements.txt) that serves all models; "
        "null: none",
        strict=False,
    )
    requirements: tuple[str, ...] = Field(
        (), strict=False, description="further packages in it, such as pandas==2.3.3"
    )
    index: str | None = Field(
        None, description="package index beside the usual one; null: a framework's own, if any"
    )
    python: str | None = Field(None, description="Python 3.8-3.13 for local serving; null: found")
    kms_key: str | None = Field(
        None, description="KMS key of the ECR repository, when it is created; null: AES256"
    )


class Build(Section):
    """How the image is built and kept, with platform aws."""

    backend: Literal["auto", "docker", "buildah", "codebuild"] = Field(
        "auto", description="builder; auto: the first available one, docker first"
    )
    base_image: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$",
        description="build argument BASE_IMAGE; null: the Dockerfile's own",
    )
    smoke_test: Literal["invoke", "load", "ping", "off"] = Field(
        "invoke", description="depth of the smoke test; true: invoke, false: off"
    )
    smoke_model: Path | None = Field(
        None,
        description="model of the smoke test, a folder or .tar.gz; null: mmectl's own",
        strict=False,
    )
    smoke_body: Path | None = Field(
        None, description="file with the request of the smoke test; null: an image", strict=False
    )
    smoke_content_type: str | None = Field(
        None, min_length=1, description="media type of smoke_body; null: by its content or name"
    )
    smoke_accept: str | None = Field(None, min_length=1, description="the request's Accept header")
    smoke_expect: str | None = Field(
        None, min_length=1, description="text that the answer must contain; null: any answer"
    )
    scan_on_push: bool = Field(True, description="of the ECR repository that mmectl creates")
    keep_images: int = Field(
        20, ge=1, le=1000, description="images kept by the lifecycle rule of that repository"
    )
    codebuild_role: str | None = Field(
        None, description="role of AWS CodeBuild, name or ARN; needed by its backend"
    )

    @field_validator("smoke_test", mode="before")
    @classmethod
    def _in_words(cls, value: Any) -> Any:
        """YAML reads `off` as false; true and false were all that there was once."""
        if str(value).lower() in ("true", "yes", "on"):
            return "invoke"
        return "off" if str(value).lower() in ("false", "no", "off") else value


class EndpointMetrics(Section):
    """What SageMaker measures of the endpoint besides its usual metrics."""

    detailed: bool | None = Field(
        None, description="metrics of instances and of the container; null: SageMaker's default, on"
    )
    enhanced: bool | None = Field(
        None, description="the usual metrics by instance, too; null: SageMaker's default, off"
    )
    frequency: Literal[10, 30, 60, 120, 180, 240, 300] | None = Field(
        None, description="seconds between two values; null: SageMaker's default, 60"
    )


class ProductionVariant(Section):
    """One of several variants, which share the requests; null: as `endpoint` says."""

    name: str = Field(description="name of the variant")
    weight: float = Field(1.0, ge=0, description="its part of the requests: weight by all weights")
    instance_type: str | None = Field(None, description="CPU instance type")
    instance_count: int | None = Field(None, description="instances of this variant")
    volume_size_gb: int | None = Field(None, description="size of an instance's volume, GB")


class Endpoint(Section):
    """The multi-model endpoint."""

    name: str = Field("multi-model", description="letters, digits and hyphens, at most 63")
    instance_type: str = Field(
        "ml.m5.xlarge", description="a CPU type; one with one GPU where image.uri has Triton"
    )
    instance_count: int = Field(1, description="instances behind the endpoint")
    variant: str = Field("AllTraffic", description="name of the production variant")
    variants: tuple[ProductionVariant, ...] = Field(
        (), strict=False, max_length=10, description="several variants instead, A/B"
    )
    model_cache: Literal["Enabled", "Disabled"] = Field(
        "Enabled", description="Disabled: a model is unloaded after every request"
    )
    workers_per_model: int | None = Field(
        None, ge=1, le=64, description="processes per model and instance; null: 2 from 2 cores on"
    )
    omp_threads: int | None = Field(
        None,
        ge=1,
        le=192,
        description="OpenMP threads of one such process; null: one for each core, 4 at most",
    )
    volume_size_gb: int | None = Field(None, description="size of an instance's volume, GB")
    model_download_timeout: int | None = Field(None, description="seconds")
    startup_timeout: int | None = Field(None, description="seconds until the container answers")
    inference_ami: str | None = Field(
        None, description="drivers of a GPU instance, an InferenceAmiVersion; null: SageMaker's own"
    )
    environment: dict[str, str] = Field({}, description="further variables for the container")
    kms_key: str | None = Field(
        None, description="KMS key of the instances' volumes; null: a key of SageMaker's"
    )
    deploy_timeout: int = Field(1800, ge=1, description="seconds that deploy waits")
    metrics: EndpointMetrics = Field(EndpointMetrics(), description="what is measured besides")

    @property
    def variant_names(self) -> tuple[str, ...]:
        """The names of the variants, of one or of several."""
        return tuple(one.name for one in self.variants) or (self.variant,)

    def counts(self) -> dict[str, tuple[str, int]]:
        """Instances by variant, each with the dotted key that says so."""
        counted = {}
        for number, one in enumerate(self.variants):
            own = one.instance_count
            key = "endpoint.instance_count" if own is None else f"endpoint.variants.{number}"
            counted[one.name] = (key, self.instance_count if own is None else own)
        return counted or {self.variant: ("endpoint.instance_count", self.instance_count)}


class Network(Section):
    """Where the containers run."""

    subnets: tuple[str, ...] = Field(
        (), strict=False, max_length=16, description="subnets of your VPC; none: SageMaker's own"
    )
    security_groups: tuple[str, ...] = Field(
        (), strict=False, max_length=5, description="security groups in that VPC"
    )
    isolated: bool = Field(False, description="true: containers reach nothing outside")

    def as_network(self) -> spec_network.Network:
        """The network as `endpoint` wants it."""
        return spec_network.Network(self.subnets, self.security_groups, self.isolated)


class Capture(Section):
    """Requests and answers that SageMaker writes into a bucket."""

    enabled: bool = Field(False, description="true: requests are captured")
    percentage: int = Field(100, description="percent of the requests")
    destination: str | None = Field(
        None, description="s3://bucket/prefix; null: data-capture/ in the models' bucket"
    )
    part: Literal["both", "input", "output"] = Field("both", description="what of each request")
    kms_key: str | None = Field(
        None, description="KMS key of the files; null: bucket.kms_key there"
    )
    csv_types: tuple[str, ...] = Field(
        ("text/csv",), strict=False, max_length=10, description="content types written as CSV"
    )
    json_types: tuple[str, ...] = Field(
        ("application/json",),
        strict=False,
        max_length=10,
        description="content types written as JSON; all others in base64",
    )

    def as_capture(self, bucket: str, key: str | None) -> spec_capture.Capture | None:
        """The capture as `endpoint` wants it; bucket and KMS key are those of the models."""
        if not self.enabled:
            return None
        key = None if self.destination else key
        return spec_capture.Capture(
            self.destination or f"s3://{bucket}/{spec_capture.FOLDER}",
            self.percentage,
            self.part,
            self.kms_key or key,
            self.csv_types,
            self.json_types,
        )


class Update(Section):
    """How deploy changes an endpoint that serves already."""

    policy: Literal["all_at_once", "canary", "linear", "rolling"] = Field(
        "all_at_once", description="how traffic shifts to the new instances"
    )
    step: int | None = Field(
        None, description="percent of the first (canary), each step (linear), batch (rolling)"
    )
    wait: int = Field(0, ge=0, le=3600, description="seconds after every step; alarms are watched")
    termination_wait: int = Field(
        0, ge=0, le=3600, description="seconds for which the old instances stay after the shift"
    )
    timeout: int | None = Field(None, ge=600, le=28800, description="seconds for the whole update")
    alarms: tuple[str, ...] = Field(
        (),
        strict=False,
        max_length=10,
        description="CloudWatch alarms that roll back; defaults: those of alarms.defaults",
    )

    @field_validator("alarms", mode="before")
    @classmethod
    def _one_word(cls, value: Any) -> Any:
        """`update.alarms: defaults` needs no brackets."""
        return (value,) if value == alarms.DEFAULTS else value

    def as_policy(self) -> Policy:
        """The policy as `endpoint` wants it."""
        return Policy(
            self.policy, self.step, self.wait, self.termination_wait, self.timeout, self.alarms
        )


class Schedule(Section):
    """Other limits of autoscaling from a time on."""

    when: str = Field(description="at(...), rate(...) or cron(...)")
    timezone: str | None = Field(None, description="such as Europe/Berlin; null: UTC")
    min: int | None = Field(None, ge=1, description="least instances from then on; null: as before")
    max: int | None = Field(None, ge=1, description="most instances from then on; null: as before")


class Autoscaling(Section):
    """How the number of instances follows the traffic."""

    min: int | None = Field(None, ge=1, description="least instances; null: nothing is scaled")
    max: int | None = Field(None, ge=1, description="most instances")
    target: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="invocations per instance and minute to aim at",
    )
    scale_in_cooldown: int = Field(300, ge=0, description="seconds between two scale-ins")
    scale_out_cooldown: int = Field(300, ge=0, description="seconds between two scale-outs")
    schedule: tuple[Schedule, ...] = Field(
        (), strict=False, description="other limits at certain times: when, timezone, min, max"
    )

    def as_values(self) -> scaling.Autoscaling | None:
        """As `endpoint` wants it; None where nothing is scaled."""
        if self.min is None or self.max is None:
            return None
        listed = (
            scaling.Scheduled(one.when, one.min, one.max, one.timezone) for one in self.schedule
        )
        times = self.scale_in_cooldown, self.scale_out_cooldown
        return scaling.Autoscaling(self.min, self.max, self.target, *times, tuple(listed))


class Alarms(Section):
    """Alarms and a dashboard in CloudWatch that suit multi-model endpoints."""

    defaults: bool = Field(
        False, description="deploy makes alarms and a dashboard, destroy removes them"
    )
    sns: str | None = Field(
        None,
        pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$",
        description="ARN of the topic that the alarms tell; null: nobody is told",
    )


class Logs(Section):
    """The containers' log in CloudWatch Logs."""

    retention_days: (
        Literal[
            1,
            3,
            5,
            7,
            14,
            30,
            60,
            90,
            120,
            150,
            180,
            365,
            400,
            545,
            731,
            1096,
            1827,
            2192,
            2557,
            2922,
            3288,
            3653,
        ]
        | None
    ) = Field(None, description="days that log events are kept; null: as it is, at first for ever")


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
    framework: str | None = Field(
        None, description="framework of the model; null: told by its files"
    )


class Upload(Section):
    """How models are packed and sent."""

    compression: Literal["auto", "small", "fast"] = Field(
        "auto",
        description="small: every file compressed; fast: none; auto: where it spares a fifth",
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
    port: int = Field(0, ge=0, le=65535, description="port; 0: a free one, then always the same")
    runtime: Literal["auto", "process", "docker"] = Field(
        "auto", description="runtime of an instance; auto: docker where engine and image exist"
    )
    memory_mb: int | None = Field(
        None, ge=1, description="memory for models on one instance; null: as its type has"
    )
    disk_mb: int | None = Field(
        None, ge=1, description="disk for models on one instance; null: its volume"
    )
    scaling_period: int = Field(
        60, ge=1, le=60, description="seconds of autoscaling's datapoints; AWS has 60"
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
    network: Network = Network()
    capture: Capture = Capture()
    update: Update = Update()
    alarms: Alarms = Alarms()
    logs: Logs = Logs()
    autoscaling: Autoscaling = Autoscaling()
    models: tuple[Model, ...] = Field((), strict=False, description="what upload --all uploads")
    upload: Upload = Upload()
    zoo: Zoo = Zoo()
    invoke: Invoke = Invoke()
    local: Local = Local()


def schema() -> dict[str, Any]:
    """The JSON schema of config.yaml, for editors."""
    made = Settings.model_json_schema()
    one = {
        "type": "object",
        "description": "What is different in one environment.",
        "properties": dict(made["properties"]),
        "additionalProperties": False,
    }
    made["properties"]["environments"] = {
        "type": "object",
        "title": "Environments",
        "description": "name -> what is different there; chosen by --env or MMECTL_ENV",
        "additionalProperties": {"anyOf": [one, {"type": "null"}]},
    }
    return made


def flatten(settings: Settings) -> dict[str, Any]:
    """Dotted key -> value, in the file's order; `models` stays one list."""
    values = settings.model_dump(mode="json")
    return {key: _at(values, key) for key, _ in _fields(Settings)}


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def _fields(section: type[Section], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every dotted key with its type, those of sections in sections as well."""
    for name, field in section.model_fields.items():
        if is_section(field.annotation):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.annotation


def is_section(annotation: object) -> TypeGuard[type[Section]]:
    """Whether a key of the file is a section."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def keys() -> list[str]:
    """Every dotted key, `models` as one."""
    return [key for key, _ in _fields(Settings)]


def section_at(parts: Sequence[object]) -> type[Section] | None:
    """The section at a place such as ("endpoint", "metrics"); None where there is none."""
    section: type[Section] = Settings
    for part in parts:
        field = section.model_fields.get(str(part))
        if field is None or not is_section(field.annotation):
            return None
        section = field.annotation
    return section


def texts() -> frozenset[str]:
    """The dotted keys whose values are text: words, names, paths."""
    return frozenset(key for key, annotation in _fields(Settings) if _is_text(annotation))


def is_text(key: str) -> bool:
    """Whether a dotted key, also one in a list or a mapping, takes text."""
    annotation: object = Settings
    for part in key.split("."):
        if is_section(annotation):
            found = annotation.model_fields.get(part)
            annotation = found.annotation if found else None
        else:
            annotation = _inner(annotation)
    return _is_text(annotation)


def _inner(annotation: object) -> object:
    """What a list or a mapping holds."""
    some = [one for one in get_args(annotation) if one is not type(None)]
    if get_origin(annotation) in (tuple, dict):
        return next((one for one in reversed(some) if one is not ...), None)
    return _inner(some[0]) if len(some) == 1 else None


def _is_text(annotation: object) -> bool:
    if get_origin(annotation) is Literal:
        return all(isinstance(word, str) for word in get_args(annotation))
    some = [one for one in get_args(annotation) if one is not type(None)]
    return annotation in (str, Path) or (len(some) == 1 and _is_text(some[0]))
