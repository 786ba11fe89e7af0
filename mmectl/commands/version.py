"""`mmectl --version`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mmectl.base import extras, packaged
from mmectl.base.installed import Extra, Installed, installed


def text(found: Installed, container: str) -> str:
    """For people; scripts read the first line."""
    lines = [
        f"mmectl, version {found.mmectl}",
        _row("python", f"{found.python}, {found.executable}"),
        _row("system", found.system),
        _row("packages", ", ".join(f"{n} {v or 'missing'}" for n, v in found.packages.items())),
        _row("container", container),
        *(_row(f"[{extra.name}]", _extra(extra)) for extra in found.extras),
    ]
    if any(extra.missing for extra in found.extras):
        lines.append(_row("to add one", extras.install("EXTRA")))
    return "\n".join(lines)


def _row(name: str, what: str) -> str:
    return f"{name:<12} {what}"


def _extra(extra: Extra) -> str:
    if not extra.missing:
        return "installed"
    return f"lacks {', '.join(extra.missing)}"


def data(found: Installed, container: str) -> dict[str, Any]:
    """For machines."""
    told = {extra.name: not extra.missing for extra in found.extras}
    missing = {extra.name: list(extra.missing) for extra in found.extras if extra.missing}
    told_all = {**asdict(found), "extras": told, "missing": missing}
    return {**told_all, "container": container}


def look() -> tuple[Installed, str]:
    """What is installed, and the digest of the container's sources that come with it."""
    from mmectl.images.context import context_digest

    return installed(), context_digest(packaged.container())
