"""What the checks of `mmectl doctor` look at, of one command's App."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmectl.commands import unserved
from mmectl.commands.iam import names_of
from mmectl.config.specification import policy as configured
from mmectl.doctor.values import ImageFacts, ModelSizes, Subject, Wanted
from mmectl.images.platforms import platform_of
from mmectl.planning.serving import serving_role

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.config.sections.endpoint import Endpoint
    from mmectl.spec.policy import Policy


def subject_of(app: App, policy: Policy | None = None) -> Subject:
    """Everything that checks may ask for; nothing is asked yet but where the models lie.

    `policy` stands for that of the configuration.
    """
    from mmectl.aws.looks import Looks

    return Subject(
        wanted=_wanted(app, policy or configured(app.config.settings)),
        account=Looks(app.aws, lambda: _role(app)),
        local=app.local,
        names=lambda: names_of(app),
        image=lambda: _image(app),
        running=lambda: _running(app),
        has_models=lambda: _has_models(app),
        sizes=lambda: _sizes(app),
        unserved=lambda: unserved.lines(app, app.image.reference, "the image"),
    )


def _wanted(app: App, policy: Policy) -> Wanted:
    settings = app.config.settings
    (kind, count), *more = _fleets(settings.endpoint)
    memory = settings.local.memory_mb if app.local else None
    disk = settings.local.disk_mb if app.local else None
    return Wanted(
        region=app.aws.region,
        endpoint=app.endpoint_name,
        location=app.location,
        instance_type=kind,
        instance_count=count,
        more=tuple(more),
        policy=policy,
        volume_gb=settings.endpoint.volume_size_gb,
        tags=len(settings.aws.tags),
        subnets=settings.network.subnets,
        bucket_key=settings.bucket.kms_key,
        memory=memory and memory << 20,
        disk=disk and disk << 20,
        made=tuple(alarm["AlarmName"] for alarm in app.watched().alarms),
    )


def _fleets(wanted: Endpoint) -> list[tuple[str, int]]:
    """Every instance type with its instances, of one variant or of several."""
    counts: dict[str, int] = {}
    for one in wanted.variants:
        kind = one.instance_type or wanted.instance_type
        counts[kind] = counts.get(kind, 0) + (one.instance_count or wanted.instance_count)
    return list(counts.items()) or [(wanted.instance_type, wanted.instance_count)]


def _role(app: App) -> str | None:
    """The role that deploy would take."""
    return app.config.settings.aws.role or serving_role(app.sagemaker, app.endpoint_name)


def _image(app: App) -> ImageFacts:
    """The image that deploy would take; where only its name is known, nothing else is told."""
    from mmectl.images import checks, external, manifests

    reference = app.image.reference
    if app.local:  # the build tried it, whatever it runs as
        return ImageFacts(reference, user="")
    name = external.parse(reference)
    if name is None:
        return ImageFacts(reference)
    ecr = app.ecr(name.repository, name.account, name.region)
    platform = platform_of(app.config.settings.endpoint.instance_type)
    found = external.find(ecr, name)
    if found is not None and found.media_type in manifests.INDEXES:
        found = ecr.find(digest=manifests.member(found, platform))
    facts = ecr.facts(found) if found is not None else None
    if found is None or facts is None:
        return ImageFacts(reference)
    problems = tuple(checks.problems(facts, platform))
    return ImageFacts(reference, problems, facts.user, manifests.size(found))


def _running(app: App) -> int:
    found = app.sagemaker.describe_endpoint(app.endpoint_name) or {}
    variants = found.get("ProductionVariants", ())
    return sum(variant.get("CurrentInstanceCount") or 0 for variant in variants)


def _has_models(app: App) -> bool:
    return app.aws.bucket_exists(app.location.bucket) and app.bucket.holds(app.location.prefix)


def _sizes(app: App) -> ModelSizes:
    """The newest version of each model."""
    if not app.aws.bucket_exists(app.location.bucket):
        return ModelSizes({}, {})
    newest = [model.versions[-1] for model in app.inventory.names()]
    packed = {artifact.target_model: artifact.size for artifact in newest}
    return ModelSizes(packed, _measured(app))


def _measured(app: App) -> dict[str, int]:
    """Bytes in memory by TargetModel, as instances of the embedded platform measured them."""
    found: dict[str, int] = {}
    for instance in (app.embedded_endpoint() or {}).get("instances", ()):
        for model in instance.get("models", ()):
            taken = int(model["memory_mb"] * 1e6)
            found[model["target_model"]] = max(taken, found.get(model["target_model"], 0))
    return found
