"""mmectl's optional packages: which extra has a module, and how it is installed here.

An extra belongs into the environment that mmectl runs in, whether pip, pipx or uv made it. Nothing
here imports such a package.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.errors import MmectlError

# extra -> the modules that mmectl imports of it; what a wheel without it lacks
MODULES = {
    "local": ("aiohttp", "flask", "flask_cors", "moto", "prometheus_client", "psutil"),
    "console": ("aiohttp", "jinja2", "js_lib_htmx"),
    "docker": ("docker",),
    "report": ("plotly",),
    "sagemaker": ("sagemaker",),
}
_CACHED = ("archive-v", "environments-v", "builds-v")  # of uv's cache, where uvx has environments


@dataclass(frozen=True, slots=True)
class Place:
    """The environment that mmectl runs in.

    `origin` is what it was installed from, where that was no index: an URL, or with `editable` a
    folder. `has_pip`: it has a pip; `active`: the pip on the PATH is its own. `extras` are there.
    """

    prefix: Path
    python: str = sys.executable
    origin: str | None = None
    editable: bool = False
    has_pip: bool = True
    active: bool = True
    extras: tuple[str, ...] = ()


def missing(extra: str, find: Callable[[str], object] = importlib.util.find_spec) -> list[str]:
    """The modules of an extra that are not installed."""
    return [name for name in MODULES[extra] if find(name) is None]


def require(
    extra: str,
    what: str,
    error: type[MmectlError],
    code: str,
    find: Callable[[str], object] = importlib.util.find_spec,
    otherwise: str = "",
) -> None:
    """Raise `error` where modules of an extra are not installed; `what` needs them.

    `otherwise` is what else one may do.
    """
    lacking = missing(extra, find)
    if lacking:
        raise error(
            f"{what}: {', '.join(lacking)} not installed (extra {extra})",
            hint=", ".join(filter(None, [install(extra), otherwise])),
            code=code,
        )


def install(extra: str, place: Place | None = None) -> str:
    """The command that adds an extra to mmectl where it is installed."""
    here = place or _here()
    if here.editable:
        return _command(f"{here.origin}[{extra}]", here, option="-e ")
    source = f" @ {here.origin}" if here.origin else ""
    kept = here.extras if _is_made_anew(here.prefix) else ()
    return _command(f"mmectl[{','.join(sorted({extra, *kept}))}]{source}", here)


def add(package: str, place: Place | None = None) -> str:
    """The command that adds another package to mmectl's environment."""
    here, named = place or _here(), shlex.quote(package)
    if _is_pipx(here.prefix):
        return f"pipx inject mmectl {named}"
    if _is_tool(here.prefix):
        return f"uv tool install --with {named} mmectl"
    if _is_uvx(here.prefix):
        return f"uvx --with {named} mmectl ..."
    return _command(package, here)


def _command(requirement: str, here: Place, option: str = "") -> str:
    named = shlex.quote(requirement)
    if _is_pipx(here.prefix) and here.prefix.parent.name != "venvs":
        return f"pipx run --spec {named} mmectl ..."
    if _is_pipx(here.prefix):
        return f"pipx install --force {named}"
    if _is_tool(here.prefix):
        return f"uv tool install --force {named}"
    if _is_uvx(here.prefix):
        return f"uvx --from {named} mmectl ..."
    if not here.has_pip:
        return f"uv pip install --python {shlex.quote(here.python)} {option}{named}"
    pip = "pip" if here.active else f"{shlex.quote(here.python)} -m pip"
    return f"{pip} install {option}{named}"


def _is_made_anew(prefix: Path) -> bool:
    """Whether the command makes another environment, without the extras that it does not name."""
    return _is_pipx(prefix) or _is_tool(prefix) or _is_uvx(prefix)


def _is_pipx(prefix: Path) -> bool:
    return (prefix / "pipx_metadata.json").is_file()


def _is_tool(prefix: Path) -> bool:
    return (prefix / "uv-receipt.toml").is_file()


def _is_uvx(prefix: Path) -> bool:
    return any(part.startswith(_CACHED) for part in prefix.parts)


def _here() -> Place:
    """The environment of this process."""
    origin, editable = _origin()
    scripts = Path(sysconfig.get_path("scripts"))
    found = shutil.which("pip")
    return Place(
        Path(sys.prefix),
        sys.executable,
        origin,
        editable,
        has_pip=importlib.util.find_spec("pip") is not None,
        active=found is not None and Path(found).parent == scripts,
        extras=tuple(extra for extra in MODULES if not missing(extra)),
    )


def _origin() -> tuple[str | None, bool]:
    """What mmectl was installed from, and whether it is a folder that is used as it is."""
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    with suppress(PackageNotFoundError, ValueError, KeyError):
        told = json.loads(distribution("mmectl").read_text("direct_url.json") or "{}")
        if told.get("dir_info", {}).get("editable"):
            return url2pathname(urlsplit(told["url"]).path), True
        return told.get("url"), False
    return None, False
