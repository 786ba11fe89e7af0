"""The configuration as `endpoint` wants it, once image, names and role are resolved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmectl.base.errors import ConfigError
from mmectl.deploy.watching import Watched
from mmectl.spec import alarms
from mmectl.spec.capture import Capture, among_models
from mmectl.spec.container import Container
from mmectl.spec.desired import Spec
from mmectl.spec.metrics import Measured
from mmectl.spec.tags import carried
from mmectl.spec.variant import Variant

if TYPE_CHECKING:
    from mmectl.config.sections.endpoint import Endpoint, ProductionVariant
    from mmectl.config.sections.settings import Settings
    from mmectl.spec.policy import Policy


def specification(settings: Settings, *, image: str, models: str, role: str) -> Spec:
    """The specification of the endpoint.

    `image` is a reference, `models` the URL of the prefix that they are below, `role` an ARN.
    """
    wanted = settings.endpoint
    variant, *others = _variants(wanted)
    return Spec(
        endpoint=wanted.name,
        role_arn=role,
        container=Container(
            image=image,
            model_data_url=models,
            model_cache=wanted.model_cache,
            environment=tuple(_environment(wanted).items()),
            measured=Measured(
                wanted.metrics.detailed, wanted.metrics.enhanced, wanted.metrics.frequency
            ),
        ),
        variant=variant,
        others=tuple(others),
        tags=tuple(settings.aws.tags.items()),
        policy=policy(settings),
        autoscaling=settings.autoscaling.as_values(),
        network=settings.network.as_network(),
        kms_key=wanted.kms_key,
        capture=_capture(settings, models),
    )


def _variants(wanted: Endpoint) -> tuple[Variant, ...]:
    """The variants: those that are listed, or the one that `endpoint` describes."""
    one = Variant(
        name=wanted.variant,
        instance_type=wanted.instance_type,
        instance_count=wanted.instance_count,
        volume_size_gb=wanted.volume_size_gb,
        model_download_timeout=wanted.model_download_timeout,
        startup_timeout=wanted.startup_timeout,
        inference_ami=wanted.inference_ami,
    )
    return tuple(replace(one, **_own(item)) for item in wanted.variants) or (one,)


def _own(variant: ProductionVariant) -> dict[str, Any]:
    """What a variant says itself."""
    return {key: value for key, value in variant.model_dump().items() if value is not None}


def _capture(settings: Settings, models: str) -> Capture | None:
    """What is captured. Raises ConfigError where it would lie among the models."""
    bucket = models.removeprefix("s3://").partition("/")[0]
    found = settings.capture.as_capture(bucket, settings.bucket.kms_key)
    if found is not None and among_models(found.destination, settings.endpoint.name, models):
        raise ConfigError(
            (f"capture.destination: {found.destination} lies under {models}, among the models",),
            hint="name another prefix, or leave it out: --set capture.destination=null",
            code="capture_among_models",
        )
    return found


def policy(settings: Settings) -> Policy:
    """How an endpoint is updated, with the names of the alarms that are meant."""
    endpoint = settings.endpoint
    named = alarms.named(settings.update.alarms, endpoint.name, endpoint.variant_names)
    return replace(settings.update.as_policy(), alarms=named)


def watched(settings: Settings, region: str) -> Watched:
    """What is to watch the endpoint: alarms, dashboard, retention of its log."""
    name, variants = settings.endpoint.name, settings.endpoint.variant_names
    retention = settings.logs.retention_days
    if not settings.alarms.defaults:
        return Watched(name, retention=retention)
    tags = carried(name, tuple(settings.aws.tags.items()))
    return Watched(
        name,
        alarms=tuple(
            request
            for variant in variants
            for request in alarms.requests(name, variant, settings.alarms.sns, tags)
        ),
        dashboard=alarms.dashboard(name, variants, region),
        retention=retention,
    )


def _environment(wanted: Endpoint) -> dict[str, str]:
    """The container's variables; those that the owner names win."""
    chosen = {
        "SAGEMAKER_MODEL_SERVER_WORKERS": wanted.workers_per_model,
        "OMP_NUM_THREADS": wanted.omp_threads,
    }
    return {name: str(number) for name, number in chosen.items() if number} | wanted.environment
