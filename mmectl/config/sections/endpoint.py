"""`endpoint`: its instances, its variants, what is measured."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mmectl.config.sections.section import Section


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
