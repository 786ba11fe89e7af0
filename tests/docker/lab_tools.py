"""Builders that Debian 12 has not, or that only a few tests need."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from lab import provide
from lab_machine import Unavailable, asked_for, run

SOURCE = """Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
PLUGINS = ("usr/libexec/docker/cli-plugins", "usr/lib/docker/cli-plugins")


def buildah() -> None:
    """See to it that buildah is there; raises Unavailable."""
    provide({"buildah": "/usr/bin/buildah"})


def buildx(cache: Path) -> Path:
    """Docker's plugin buildx, as `plugin`: 13 MB, 3 s."""
    return plugin(cache, "docker-buildx")


def compose(cache: Path) -> Path:
    """Docker's plugin compose, version 2, as `plugin`: 13 MB, 3 s."""
    return plugin(cache, "docker-compose")


def plugin(cache: Path, package: str) -> Path:
    """A plugin of docker's client: this machine's, else Debian 13's, installed nowhere.

    apt fetches it, and it is kept in `cache`. It needs the C library alone. Raises Unavailable.
    """
    folder = cache / package.removeprefix("docker-")
    places = [Path(root, one, package) for root in ("/", folder) for one in PLUGINS]
    for place in places:
        if place.is_file():
            return place
    if not asked_for(os.environ):
        raise Unavailable(f"no plugin {package}; MMECTL_LAB=1 fetches it")
    for part in ("lists/partial", "archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "trixie.sources").write_text(SOURCE)
    options = (
        f"-oDir::Etc::SourceList={folder}/trixie.sources",
        "-oDir::Etc::SourceParts=-",
        f"-oDir::State::Lists={folder}/lists",
        f"-oDir::Cache={folder}",
        "-oAPT::Sandbox::User=root",
    )
    run("apt-get", "-qq", *options, "update")
    run("apt-get", "-qq", *options, "download", package, cwd=folder)
    (found,) = folder.glob(f"{package}_*.deb")
    subprocess.run(["dpkg-deb", "--extract", found, folder], check=True)
    found.unlink()
    return next(place for place in places if place.is_file())
