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
PLUGIN = "usr/libexec/docker/cli-plugins/docker-buildx"
OLD_PLUGIN = "usr/lib/docker/cli-plugins/docker-buildx"


def buildah() -> None:
    """See to it that buildah is there; raises Unavailable."""
    provide({"buildah": "/usr/bin/buildah"})


def buildx(cache: Path) -> Path:
    """Docker's plugin buildx: this machine's, else Debian 13's, fetched by apt, installed nowhere.

    It needs the C library alone. 13 MB, 3 s; kept in `cache`. Raises Unavailable.
    """
    folder = cache / "buildx"
    places = [Path("/", PLUGIN), Path("/", OLD_PLUGIN), folder / PLUGIN, folder / OLD_PLUGIN]
    for place in places:
        if place.is_file():
            return place
    if not asked_for(os.environ):
        raise Unavailable("no buildx plugin; MMECTL_LAB=1 fetches it")
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
    run("apt-get", "-qq", *options, "download", "docker-buildx", cwd=folder)
    (package,) = folder.glob("docker-buildx_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    package.unlink()
    return next(place for place in places if place.is_file())
