"""Write mmectl/export/attributes.json: what Terraform and CloudFormation take of each resource.

Usage: python scripts/export_attributes.py CDKTF_WHEEL

CloudFormation's from the resource schemas that cfn-lint ships; Terraform's from the bindings of the
provider hashicorp/aws: `pip download --no-deps cdktf-cdktf-provider-aws` gives CDKTF_WHEEL (59 MB).
Kept are names of attributes, which of them are required, and what kind of value they take.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "mmectl" / "export" / "attributes.json"
CLOUDFORMATION = (
    "AWS::SageMaker::Model",
    "AWS::SageMaker::EndpointConfig",
    "AWS::SageMaker::Endpoint",
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
)
TERRAFORM = (
    "aws_sagemaker_model",
    "aws_sagemaker_endpoint_configuration",
    "aws_sagemaker_endpoint",
    "aws_appautoscaling_target",
    "aws_appautoscaling_policy",
    "aws_appautoscaling_scheduled_action",
    "aws_cloudwatch_metric_alarm",
    "aws_cloudwatch_dashboard",
)
REQUIRED = "required"
_COMPUTED = {"id", "tags_all"}
_SCALARS = {"string": "string", "number": "number", "boolean": "bool", "string[]": "list"}
_MEMBER = re.compile(
    r"/docs/resources/\w+#(?P<name>\w+) (?:(?!\*/).)*?\*/\s+"
    r"readonly \w+(?P<optional>\?)?: (?P<type>[^;{]+|\{[^}]*\})",
    re.DOTALL,
)
_INTERFACE = re.compile(r"export interface (\w+)(?: extends [\w.]+)? \{\n(.*?)\n\}", re.DOTALL)


def main() -> int:
    """Write the file."""
    wheel = zipfile.ZipFile(sys.argv[1])
    provider = _provider(wheel)
    found = {
        "cloudformation": {
            "source": f"the resource schemas of cfn-lint {version('cfn-lint')}",
            "resources": {name: _of_schema(name) for name in CLOUDFORMATION},
        },
        "terraform": {
            "source": f"hashicorp/aws {provider}",
            "version": provider,
            "resources": _of_bindings(wheel),
        },
    }
    TARGET.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


def _of_schema(name: str) -> dict[str, Any]:
    """Writable properties of a CloudFormation resource, nested."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    schema: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", name).schema
    tree: dict[str, Any] = _tree(schema, schema.get("definitions", {}))
    for path in schema.get("readOnlyProperties", ()):
        tree.pop(path.removeprefix("/properties/"), None)
    return tree


def _tree(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _tree(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if schema.get("type") == "array":
        return _tree(schema["items"], definitions)
    if "properties" not in schema:
        return "value"
    members = {key: _tree(value, definitions) for key, value in schema["properties"].items()}
    return members | {REQUIRED: sorted(schema.get("required", ()))}


def _provider(wheel: zipfile.ZipFile) -> str:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    match = re.search(r"hashicorp/aws provider version (\S+)", wheel.read(name).decode())
    if match is None:
        raise SystemExit(f"{name}: does not say which version of the provider it is for")
    return match[1]


def _of_bindings(wheel: zipfile.ZipFile) -> dict[str, Any]:
    """Attributes and blocks of Terraform's resources, nested, from the bindings' declarations."""
    name = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(name))) as package:
        return {resource: _of_resource(package, resource) for resource in TERRAFORM}


def _of_resource(package: tarfile.TarFile, resource: str) -> dict[str, Any]:
    folder = resource.removeprefix("aws_").replace("_", "-")
    file = package.extractfile(f"package/lib/{folder}/index.d.ts")
    if file is None:
        raise SystemExit(f"no declarations of {resource}")
    interfaces = dict(_INTERFACE.findall(file.read().decode()))
    stem = "".join(word.capitalize() for word in folder.split("-"))
    return {
        name: kind
        for name, kind in _of_interface(f"{stem}Config", interfaces).items()
        if name not in _COMPUTED
    }


def _of_interface(name: str, interfaces: dict[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    required = []
    for member in _MEMBER.finditer(interfaces[name]):
        kind = member["type"].split(" | ")[0].strip()
        bare = kind.removesuffix("[]")
        if bare in interfaces:
            tree[member["name"]] = _of_interface(bare, interfaces)
        else:
            tree[member["name"]] = "map" if kind.startswith("{") else _SCALARS[kind]
        if not member["optional"]:
            required.append(member["name"])
    return tree | {REQUIRED: sorted(required)}


if __name__ == "__main__":
    sys.exit(main())
