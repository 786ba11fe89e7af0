"""The configuration as `endpoint` wants it, once image, names and role are resolved."""

from __future__ import annotations

from mmectl.config.sections import Endpoint, Settings
from mmectl.endpoint import Spec
from mmectl.spec.container import Container
from mmectl.spec.metrics import Measured
from mmectl.spec.variant import Variant


def specification(settings: Settings, *, image: str, models: str, role: str) -> Spec:
    """The specification of the endpoint.

    `image` is a reference, `models` the URL of the prefix that they are below, `role` an ARN.
    """
    wanted = settings.endpoint
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
        variant=Variant(
            name=wanted.variant,
            instance_type=wanted.instance_type,
            instance_count=wanted.instance_count,
            volume_size_gb=wanted.volume_size_gb,
            model_download_timeout=wanted.model_download_timeout,
            startup_timeout=wanted.startup_timeout,
        ),
        tags=tuple(settings.aws.tags.items()),
        policy=settings.update.as_policy(),
        autoscaling=settings.autoscaling.as_values(),
        network=settings.network.as_network(),
        kms_key=wanted.kms_key,
    )


def _environment(wanted: Endpoint) -> dict[str, str]:
    """The container's variables; those that the owner names win."""
    chosen = {
        "SAGEMAKER_MODEL_SERVER_WORKERS": wanted.workers_per_model,
        "OMP_NUM_THREADS": wanted.omp_threads,
    }
    return {name: str(number) for name, number in chosen.items() if number} | wanted.environment
