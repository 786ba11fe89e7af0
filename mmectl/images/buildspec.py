"""What AWS CodeBuild is told: project, instructions, variables, source. Pure but for `source`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmectl.images import container_smoke, external
from mmectl.images.context import context_files
from mmectl.images.platforms import ARM64
from mmectl.images.values import BuildRequest

# CodeBuild User Guide, "Docker images provided by CodeBuild": Amazon Linux 2023
_IMAGES = {
    False: ("LINUX_CONTAINER", "aws/codebuild/amazonlinux-x86_64-standard:5.0"),
    True: ("ARM_CONTAINER", "aws/codebuild/amazonlinux-aarch64-standard:3.0"),
}
_MINUTES = 60
PREFIX = "mmectl-build-"
# as `smoke.in_engine` does it, from inside
_SMOKE = """set -u
name=$(docker create --label mmectl.smoke=codebuild --env SAGEMAKER_MULTI_MODEL=true \
    --env SAGEMAKER_BIND_TO_PORT=8080 "$IMAGE" serve) || exit 1
docker cp - "$name:/" < smoke/model.tar && docker start "$name" > /dev/null || exit 1
said=$(docker exec "$name" python -c "$(cat smoke/asking.py)" 2>&1)
case $?:$said in
0:*) echo "smoke test: $said" ;;
12[67]:*"not found"*) echo "smoke test: skipped, the image has no python to ask from inside" ;;
*) echo "the container does not serve: $said"; docker logs --tail 15 "$name" 2>&1; result=1 ;;
esac
docker rm --force --volumes "$name" > /dev/null
exit "${result:-0}"
"""


@dataclass(frozen=True, slots=True)
class Where:
    """Bucket for the source, the role's ARN, the region, tags of the project."""

    bucket: str
    role_arn: str
    region: str
    tags: Mapping[str, str]


def _labels(request: BuildRequest) -> dict[str, str]:
    """The variables of the labels."""
    pairs = enumerate(request.labels.items())
    return {f"LABEL{number or ''}": f"{name}={value}" for number, (name, value) in pairs}


def buildspec(request: BuildRequest) -> str:
    """The build's instructions (JSON is YAML); names come from variables, never from text."""
    given = "".join(f' --build-arg "{name}=${name}"' for name in request.arguments)
    labels = "".join(f' --label "${name}"' for name in _labels(request))
    build = f'docker build --platform "$PLATFORM" --tag "$IMAGE"{labels}{given} context'
    commands = [
        _login("REGION", "REGISTRY"),
        *([_login("BASE_REGION", "BASE_REGISTRY")] if _base(request) else []),
        build,
        *(["sh smoke/smoke.sh"] if request.trial.wanted else []),
        'docker push "$IMAGE"',
    ]
    return json.dumps(
        {"version": 0.2, "phases": {"build": {"on-failure": "ABORT", "commands": commands}}}
    )


def _login(region: str, registry: str) -> str:
    """Log in with a token of the build's own role; the names are those of variables."""
    return (
        f'aws ecr get-login-password --region "${region}"'
        f' | docker login --username AWS --password-stdin "${registry}"'
    )


def _base(request: BuildRequest) -> external.Name | None:
    """The base image in a private registry of ECR, where it lies in another one."""
    name = external.parse(request.base_image or "")
    same = request.base_image and request.base_image.partition("/")[0] == request.registry
    return None if same else name


def variables(request: BuildRequest, region: str) -> dict[str, str]:
    """The variables of the build; attestations would make an OCI index of the image."""
    base = _base(request)
    return {
        "REGION": region,
        "REGISTRY": request.registry,
        "IMAGE": request.reference,
        "PLATFORM": request.platform,
        **_labels(request),
        "DOCKER_BUILDKIT": "1",
        "BUILDKIT_PROGRESS": "plain",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        **request.arguments,
        **({"BASE_REGION": base.region, "BASE_REGISTRY": base.registry} if base else {}),
    }


def project_name(request: BuildRequest) -> str:
    """One project for each owner, so that the next build finds what a killed one left."""
    return f"{PREFIX}{request.owner}"


def project(name: str, request: BuildRequest, where: Where) -> dict[str, Any]:
    """The request of CreateProject."""
    kind, image = _IMAGES[request.platform == ARM64]
    return {
        "name": name,
        "description": "builds one image and is removed",
        "source": {
            "type": "S3",
            "location": f"{where.bucket}/{source_key(name)}",
            "buildspec": buildspec(request),
        },
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {
            "type": kind,
            "image": image,
            "computeType": "BUILD_GENERAL1_SMALL",
            "privilegedMode": True,  # CodeBuild runs no Docker engine without it
            "environmentVariables": [
                {"name": name, "value": value, "type": "PLAINTEXT"}
                for name, value in variables(request, where.region).items()
            ],
        },
        "serviceRole": where.role_arn,
        "timeoutInMinutes": _MINUTES,
        "queuedTimeoutInMinutes": _MINUTES,
        "logsConfig": {"cloudWatchLogs": {"status": "ENABLED", "groupName": log_group(name)}},
        "tags": [{"key": key, "value": value} for key, value in where.tags.items()],
    }


def log_group(name: str) -> str:
    """The log group of a project."""
    return f"/aws/codebuild/{name}"


def source_key(name: str) -> str:
    """Where the source of a project lies in the bucket."""
    return f"mmectl-build/{name}.zip"


def source(request: BuildRequest) -> bytes:
    """The context and the smoke test as a zip, the execute bits kept."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in context_files(request.context):
            entry = zipfile.ZipInfo(f"context/{path.relative_to(request.context).as_posix()}")
            entry.external_attr = (0o755 if path.stat().st_mode & 0o100 else 0o644) << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
        if request.trial.wanted:
            archive.writestr("smoke/smoke.sh", _SMOKE)
            archive.writestr("smoke/asking.py", container_smoke.script())
            archive.writestr("smoke/model.tar", container_smoke.archive(request.trial))
    return buffer.getvalue()
