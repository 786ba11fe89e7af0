"""A stack as a Terraform configuration. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmectl.export.attributes import known
from mmectl.export.hcl import Attribute, Block, Comment, Expression, Item, document, quoted
from mmectl.export.stack import Joined, NameOf, Parameter, Ref, Resource, Stack

# action of a plan -> type of resource
TYPES = {
    "CreateModel": "aws_sagemaker_model",
    "CreateEndpointConfig": "aws_sagemaker_endpoint_configuration",
    "CreateEndpoint": "aws_sagemaker_endpoint",
    "RegisterScalableTarget": "aws_appautoscaling_target",
    "PutScalingPolicy": "aws_appautoscaling_policy",
    "PutScheduledAction": "aws_appautoscaling_scheduled_action",
    "PutMetricAlarm": "aws_cloudwatch_metric_alarm",
    "PutDashboard": "aws_cloudwatch_dashboard",
}
# where the provider's name is not the API's with underscores: (type, member) -> attribute
_NAMES = {
    ("aws_sagemaker_endpoint", "EndpointName"): "name",
    ("aws_sagemaker_endpoint_configuration", "KmsKeyId"): "kms_key_arn",
    ("aws_appautoscaling_policy", "PolicyName"): "name",
    ("aws_appautoscaling_scheduled_action", "ScheduledActionName"): "name",
    ("aws_cloudwatch_metric_alarm", "Metrics"): "metric_query",
    (
        "aws_cloudwatch_metric_alarm",
        "EvaluateLowSampleCountPercentile",
    ): "evaluate_low_sample_count_percentiles",
}
_NAMED_BY = {"aws_cloudwatch_metric_alarm": "alarm_name"}  # its own name; of the others `name`
_PREFIX = 37  # characters of a name_prefix: the provider adds 26 to it, and AWS takes 63


def configuration(stack: Stack, head: str, region: str) -> tuple[str, tuple[str, ...]]:
    """The file's text, and what of the stack the provider has no argument for.

    `head` is the comment that it begins with.
    """
    types = {one.label: TYPES[one.action] for one in stack.resources if one.action in TYPES}
    writer = _Writer(types)
    blocks = [
        writer.resource(one, _named(one, stack.endpoint))
        for one in stack.resources
        if one.label in types
    ]
    missing = [one.label for one in stack.resources if one.label not in types]
    left = (*missing, *writer.left)
    told = [Comment(f"Not in here, as the provider has no argument for it: {one}") for one in left]
    region_ = Parameter("Region", region, "the region of everything")
    text = document(
        [
            Comment(head),
            *told,
            _requirements(),
            Block("provider", ("aws",), [Attribute("region", Expression("var.region"))]),
            *(_variable(one) for one in (region_, *stack.parameters)),
            *(_looked_up(writer.keys, one) for one in writer.keys),
            *blocks,
            *_outputs(types),
        ]
    )
    return text, left


def _requirements() -> Block:
    major, minor, _ = known("terraform").version.split(".")
    aws = {"source": "hashicorp/aws", "version": f">= {major}.{minor}"}
    providers = Attribute("aws", {Expression(key): item for key, item in aws.items()})
    return Block(
        "terraform",
        (),
        [Attribute("required_version", ">= 1.5"), Block("required_providers", (), [providers])],
    )


def _variable(parameter: Parameter) -> Block:
    kind = "number" if parameter.number else "string"
    body: list[Item] = [
        Attribute("description", _sentence(parameter.about)),
        Attribute("type", Expression(kind)),
    ]
    if parameter.value is not None:
        body.append(Attribute("default", parameter.value))
    return Block("variable", (snake(parameter.name),), body)


def _named(resource: Resource, endpoint: str) -> Sequence[Item]:
    """How a resource is named that is made anew when it changes: before the old one goes."""
    if resource.action not in ("CreateModel", "CreateEndpointConfig"):
        return ()
    before = Block("lifecycle", (), [Attribute("create_before_destroy", True)])
    if resource.action == "CreateModel":
        return (before,)
    return (Attribute("name_prefix", f"{endpoint[: _PREFIX - 1].rstrip('-')}-"), before)


class _Writer:
    """Turns requests into resources, and notes what the provider does not know."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = types
        self.left: list[str] = []
        self.keys: list[str] = []

    def resource(self, resource: Resource, named: Sequence[Item]) -> Block:
        """One resource; `named` is what it has beside its request."""
        kind = self._types[resource.label]
        tree = known("terraform").resources[kind]
        body = list(self._items(kind, tree, resource.request, (resource.label,)))
        attributes = [item for item in (*named, *body) if isinstance(item, Attribute)]
        blocks = [item for item in (*body, *named) if isinstance(item, Block)]
        if resource.after:
            after = [Expression(f"{self._types[one]}.{snake(one)}") for one in resource.after]
            attributes.append(Attribute("depends_on", after))
        return Block("resource", (kind, snake(resource.label)), [*attributes, *blocks])

    def _items(
        self, kind: str, tree: Mapping[str, Any], given: Mapping[str, Any], path: tuple[str, ...]
    ) -> Iterator[Item]:
        """Attributes and blocks for members of a request."""
        for member, value in given.items():
            top = len(path) == 1
            name = _NAMES.get((kind, member), snake(member)) if top else snake(member)
            taken = tree.get(name)
            if taken is None:
                self.left.append(".".join((*path, member)))
            elif isinstance(taken, Mapping):
                for one in value if isinstance(value, (list, tuple)) else (value,):
                    yield Block(name, (), self._sorted(kind, taken, one, (*path, member)))
            elif taken == "map":
                yield Attribute(name, _map(value))
            elif name == "kms_key_arn":
                yield Attribute(name, self._key(value))
            else:
                yield Attribute(name, self._expression(value))

    def _sorted(
        self, kind: str, tree: Mapping[str, Any], given: Mapping[str, Any], path: tuple[str, ...]
    ) -> list[Item]:
        items = list(self._items(kind, tree, given, path))
        return sorted(items, key=lambda item: isinstance(item, Block))

    def _key(self, value: str) -> Any:
        """The ARN of a key, which the provider wants where AWS takes ids and aliases, too."""
        if value.startswith("arn:"):
            return value
        if value not in self.keys:
            self.keys.append(value)
        return Expression(f"data.aws_kms_key.{_key_label(self.keys, value)}.arn")

    def _expression(self, value: Any) -> Any:
        if isinstance(value, Ref):
            return Expression(f"var.{snake(value.parameter)}")
        if isinstance(value, NameOf):
            return Expression(self._address(value))
        if isinstance(value, Joined):
            before, after = quoted(value.before)[:-1], quoted(value.after)[1:]
            return Expression(f"{before}${{{self._address(value.name)}}}{after}")
        return value

    def _address(self, name: NameOf) -> str:
        kind = self._types[name.label]
        return f"{kind}.{snake(name.label)}.{_NAMED_BY.get(kind, 'name')}"


def _key_label(keys: Sequence[str], key: str) -> str:
    return f"key{keys.index(key) + 1}"


def _looked_up(keys: Sequence[str], key: str) -> Block:
    """What finds the ARN of a key by its id or alias."""
    return Block("data", ("aws_kms_key", _key_label(keys, key)), [Attribute("key_id", key)])


def _map(value: Any) -> Any:
    """A mapping; AWS's lists of key and value, or name and value, become one."""
    if isinstance(value, Mapping):
        return value
    return {one.get("Key", one.get("Name")): one["Value"] for one in value}


def _outputs(types: Mapping[str, str]) -> Iterator[Block]:
    for label, kind in types.items():
        if kind == TYPES["CreateEndpoint"]:
            for name, what in (("endpoint_name", "name"), ("endpoint_arn", "arn")):
                address = Expression(f"{kind}.{snake(label)}.{what}")
                yield Block("output", (name,), [Attribute("value", address)])


def snake(name: str) -> str:
    """An API's name as the provider writes it: ``VolumeSizeInGB`` -> ``volume_size_in_gb``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return words.lower()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
