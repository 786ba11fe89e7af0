"""What is asked for, put together: the requests that make an endpoint, named by content. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmectl.spec import capacity
from mmectl.spec.capture import Capture, data_capture_config
from mmectl.spec.container import Container, primary_container
from mmectl.spec.metrics import metrics_config
from mmectl.spec.names import content_name
from mmectl.spec.network import OPEN, Network, model_members
from mmectl.spec.policy import AT_ONCE, Policy
from mmectl.spec.scaling import Autoscaling
from mmectl.spec.tags import Pairs, carried, tag_list
from mmectl.spec.variant import Variant, production_variant


@dataclass(frozen=True, slots=True)
class Spec:
    """What is asked for, in parts, with identity, bucket and image resolved.

    `others` are the variants beside the first one.
    """

    endpoint: str
    role_arn: str
    container: Container
    variant: Variant
    tags: Pairs = ()
    policy: Policy = AT_ONCE
    autoscaling: Autoscaling | None = None
    network: Network = OPEN
    kms_key: str | None = None
    capture: Capture | None = None
    others: tuple[Variant, ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """The requests that make the endpoint; `model` and `config` are their names.

    `policy` says how an endpoint that serves already is changed.
    """

    endpoint: str
    model: str
    config: str
    model_request: Mapping[str, Any] = field(hash=False)
    config_request: Mapping[str, Any] = field(hash=False)
    tags: Pairs = ()
    policy: Policy = AT_ONCE
    autoscaling: Autoscaling | None = None

    @property
    def variants(self) -> tuple[Mapping[str, Any], ...]:
        """The production variants."""
        return tuple(self.config_request["ProductionVariants"])


def desired(spec: Spec) -> Desired:
    """The requests for a specification; equal specifications give equal names."""
    tags = carried(spec.endpoint, spec.tags)
    model = {
        "PrimaryContainer": primary_container(spec.container),
        "ExecutionRoleArn": spec.role_arn,
        **model_members(spec.network),
    }
    model_name = content_name(spec.endpoint, model)
    config: dict[str, Any] = {
        "ProductionVariants": [
            production_variant(one, model_name) for one in (spec.variant, *spec.others)
        ],
        **({"KmsKeyId": spec.kms_key} if spec.kms_key else {}),
    }
    if spec.capture is not None:
        config["DataCaptureConfig"] = data_capture_config(spec.capture)
    if measured := metrics_config(spec.container.measured):
        config["MetricsConfig"] = measured
    config_name = content_name(spec.endpoint, config)
    listed = {"Tags": tag_list(tags)}
    return Desired(
        endpoint=spec.endpoint,
        model=model_name,
        config=config_name,
        model_request={"ModelName": model_name, **model, **listed},
        config_request={"EndpointConfigName": config_name, **config, **listed},
        tags=tags,
        policy=spec.policy,
        autoscaling=spec.autoscaling,
    )


def counted_name(wanted: Desired, described: Mapping[str, Any]) -> str:
    """The name that the wanted configuration had with the counts and weights of a described one.

    Names come from content: a configuration that has it differs in counts and weights alone.
    """
    content = {
        key: value
        for key, value in wanted.config_request.items()
        if key not in ("EndpointConfigName", "Tags")
    }
    counted = capacity.begun_with(content, capacity.initial(described))
    return content_name(wanted.endpoint, counted)
