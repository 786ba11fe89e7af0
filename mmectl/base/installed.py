"""What is installed: mmectl, Python, packages, extras; none of them is imported."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata

from mmectl import __version__

SHOWN = ("boto3", "botocore", "click", "pydantic", "rich")  # packages that are always there
_HIDDEN = frozenset({"dev", "docs"})  # extras for those who work on mmectl
_REQUIREMENT = re.compile(r"\s*(?P<name>[A-Za-z0-9._-]+).*\bextra\s*==\s*['\"](?P<extra>[^'\"]+)")

Version = Callable[[str], "str | None"]


@dataclass(frozen=True, slots=True)
class Extra:
    """One extra: the packages that it needs; `missing` those that are not there."""

    name: str
    packages: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installed:
    """mmectl and Python with their versions, the system, packages by name, extras."""

    mmectl: str
    python: str
    executable: str
    system: str
    packages: dict[str, str | None]
    extras: tuple[Extra, ...]


def version(package: str) -> str | None:
    """The installed version of a package; None where it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def installed(requirements: Iterable[str] | None = None, find: Version = version) -> Installed:
    """Look. `requirements` are mmectl's own, as its metadata has them."""
    if requirements is None:
        requirements = _requirements()
    return Installed(
        __version__,
        platform.python_version(),
        sys.executable,
        f"{platform.system()} {platform.release()} {platform.machine()}",
        {name: find(name) for name in SHOWN},
        tuple(extras(requirements, find)),
    )


def _requirements() -> list[str]:
    try:
        return metadata.requires("mmectl") or []
    except metadata.PackageNotFoundError:  # run from its sources
        return []


def extras(requirements: Iterable[str], find: Version = version) -> list[Extra]:
    """The extras that requirements such as ``flask>=3; extra == 'local'`` name."""
    needed: dict[str, list[str]] = {}
    for text in requirements:
        found = _REQUIREMENT.match(text)
        if found and found["extra"] not in _HIDDEN:
            needed.setdefault(found["extra"], []).append(found["name"])
    return [
        Extra(name, tuple(packages), tuple(one for one in packages if find(one) is None))
        for name, packages in sorted(needed.items())
    ]
