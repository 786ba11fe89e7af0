"""A stack as a CloudFormation template, in YAML. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmectl.base.errors import UsageError
from mmectl.export.attributes import known
from mmectl.export.stack import Joined, NameOf, Parameter, Ref, Resource, Stack

# action of a plan -> type of resource
TYPES = {
    "CreateModel": "AWS::SageMaker::Model",
    "CreateEndpointConfig": "AWS::SageMaker::EndpointConfig",
    "CreateEndpoint": "AWS::SageMaker::Endpoint",
    "RegisterScalableTarget": "AWS::ApplicationAutoScaling::ScalableTarget",
    "PutScalingPolicy": "AWS::ApplicationAutoScaling::ScalingPolicy",
    "PutMetricAlarm": "AWS::CloudWatch::Alarm",
    "PutDashboard": "AWS::CloudWatch::Dashboard",
}
# what GetAtt gives of a resource that others name; of the others Ref is the name
_NAMES = {
    "AWS::SageMaker::Model": "ModelName",
    "AWS::SageMaker::EndpointConfig": "EndpointConfigName",
    "AWS::SageMaker::Endpoint": "EndpointName",
}
_DYNAMIC = "{{resolve:"  # CloudFormation looks up what follows, wherever it stands


def template(stack: Stack, head: str) -> tuple[str, tuple[str, ...]]:
    """The template's text, and what of the stack CloudFormation has no property for.

    `head` is the comment that it begins with. Raises UsageError for a value that CloudFormation
    would take for something else.
    """
    writer = _Writer(
        {one.label: TYPES[one.action] for one in stack.resources if one.action in TYPES}
    )
    resources = dict(writer.resources(stack))
    document = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"The SageMaker multi-model endpoint {stack.endpoint}",
        "Parameters": {one.name: _parameter(one) for one in stack.parameters},
        "Resources": resources,
        "Outputs": writer.outputs(),
    }
    told = [f"Not in here, as CloudFormation has no property for it: {one}" for one in writer.left]
    comment = "".join(f"# {line}".rstrip() + "\n" for line in (*head.splitlines(), *told))
    return comment + _yaml(document), tuple(writer.left)


def _scheduled(resources: Sequence[Resource]) -> list[Resource]:
    """Schedules as CloudFormation has them: in what they scale, which they need not name."""
    place = ("ServiceNamespace", "ResourceId", "ScalableDimension")
    actions: dict[Any, list[dict[str, Any]]] = {}
    for one in resources:
        if one.action == "PutScheduledAction":
            own = {key: value for key, value in one.request.items() if key not in place}
            actions.setdefault(one.request["ResourceId"], []).append(own)
    return [
        replace(
            one, request={**one.request, "ScheduledActions": actions[one.request["ResourceId"]]}
        )
        if one.action == "RegisterScalableTarget" and one.request["ResourceId"] in actions
        else one
        for one in resources
        if one.action != "PutScheduledAction"
    ]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    kind = {"Type": "Number", "MinValue": 1} if parameter.number else {"Type": "String"}
    default = {} if parameter.value is None else {"Default": parameter.value}
    about = parameter.about[:1].upper() + parameter.about[1:]
    return {"Description": about, **kind, **default}


class _Intrinsic:
    """A function of CloudFormation in its short form, such as ``!Ref Image``."""

    def __init__(self, tag: str, text: str) -> None:
        self.tag, self.text = tag, text


class _Writer:
    """Turns requests into resources, and notes what CloudFormation does not know."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = types
        self.left: list[str] = []

    def resources(self, stack: Stack) -> Iterator[tuple[str, dict[str, Any]]]:
        """(label, resource) of each that CloudFormation has."""
        for one in _scheduled(stack.resources):
            if one.label not in self._types:
                self.left.append(one.label)
                continue
            kind = self._types[one.label]
            tree = known("cloudformation").resources[kind]
            after = {"DependsOn": list(one.after)} if one.after else {}
            properties = self._value(tree, one.request, one.label)
            yield one.label, {"Type": kind, **after, "Properties": properties}

    def _value(self, tree: Any, given: Any, path: str) -> Any:
        """A value with references in CloudFormation's words, without what it does not know."""
        if isinstance(given, (list, tuple)):
            return [self._value(tree, item, path) for item in given]
        if isinstance(given, Mapping):
            return {
                key: self._value(
                    tree[key] if isinstance(tree, Mapping) else tree, item, f"{path}.{key}"
                )
                for key, item in given.items()
                if self._knows(tree, key, path)
            }
        if isinstance(given, str) and _DYNAMIC in given:
            raise UsageError(
                f"{path} contains {_DYNAMIC}, which CloudFormation would look up and replace",
                hint="write it in another way, or: mmectl export terraform",
                code="dynamic_reference",
            )
        return self._reference(given)

    def _knows(self, tree: Any, key: str, path: str) -> bool:
        there = not isinstance(tree, Mapping) or key in tree
        if not there:
            self.left.append(f"{path}.{key}")
        return there

    def _reference(self, given: Any) -> Any:
        if isinstance(given, Ref):
            return _Intrinsic("!Ref", given.parameter)
        if isinstance(given, NameOf):
            name = self._name(given)
            return _Intrinsic("!GetAtt" if "." in name else "!Ref", name)
        if isinstance(given, Joined):
            return _Intrinsic("!Sub", f"{given.before}${{{self._name(given.name)}}}{given.after}")
        return given

    def _name(self, name: NameOf) -> str:
        attribute = _NAMES.get(self._types[name.label])
        return f"{name.label}.{attribute}" if attribute else name.label

    def outputs(self) -> dict[str, Any]:
        """The endpoint's name and ARN."""
        label = next(one for one, kind in self._types.items() if kind == TYPES["CreateEndpoint"])
        return {
            "EndpointName": {"Value": _Intrinsic("!GetAtt", f"{label}.EndpointName")},
            "EndpointArn": {"Value": _Intrinsic("!Ref", label)},
        }


def _yaml(document: Mapping[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Indents lists, and names nothing by alias: CloudFormation reads it all the same."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
            super().increase_indent(flow, False)

    Dumper.add_representer(
        _Intrinsic, lambda dumper, it: dumper.represent_scalar(it.tag, it.text, style="")
    )
    text: str = yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text
