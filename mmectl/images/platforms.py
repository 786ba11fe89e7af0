"""Which platform an instance type needs, and what a machine can build."""

from __future__ import annotations

from mmectl.base import instances
from mmectl.base.errors import BuildError

AMD64, ARM64 = "linux/amd64", "linux/arm64"
_MACHINES = {"x86_64": AMD64, "amd64": AMD64, "aarch64": ARM64, "arm64": ARM64}


def platform_of(instance_type: str) -> str:
    """``ml.m5.xlarge`` -> ``linux/amd64``; Graviton (``ml.m6g.large``) -> ``linux/arm64``."""
    return platform_of_machine(instances.instance_type(instance_type).architecture)


def platform_of_machine(machine: str) -> str:
    """``x86_64``, as kernels and engines name it -> ``linux/amd64``."""
    return _MACHINES.get(machine.lower(), f"linux/{machine.lower()}")


def require(wanted: str, possible: frozenset[str], builder: str) -> None:
    """Refuse a platform that `builder` cannot build. Raises BuildError."""
    if wanted in possible:
        return
    able = ", ".join(sorted(possible)) or "nothing"
    emulator = "arm64" if wanted == ARM64 else wanted.partition("/")[2]
    raise BuildError(
        f"{builder} cannot build for {wanted}, which endpoint.instance_type needs: "
        f"it builds {able}",
        hint="choose an instance type of that architecture, set build.backend: codebuild, or "
        f"install its emulation: docker run --privileged --rm tonistiigi/binfmt --install "
        f"{emulator} (and the buildx plugin)",
        code="image_architecture",
    )
