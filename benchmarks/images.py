"""The sizes of the image for each framework, built, tried and pushed by `mmectl build`.

It builds in the Docker lab (docs/docker-lab.md: root and Debian's packages; MMECTL_LAB=1 installs
them), whose engine and registry are gone afterwards. BENCH_IMAGES="onnx,mxnet onnx" chooses: one
image for each list of frameworks. BENCH_INDEX is image.index, BENCH_BASE build.base_image.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import Result, Unavailable

NAME = "images: compressed in the registry and unpacked on disk, MB of 10^6 bytes"
ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / "tests" / "docker"
DEMO = "mxnet onnx xgboost"  # what the models of config.yaml need


def chosen() -> list[str]:
    """The images to build: names of frameworks, separated by blanks."""
    names = sorted(path.parent.name for path in (ROOT / "container/runtimes").glob("*/runtime.py"))
    told = os.environ.get("BENCH_IMAGES")
    return told.split(",") if told else [*names, DEMO]


def run() -> Iterator[Result]:
    """Build them one after another; takes about a minute each."""
    sys.path.insert(0, str(LAB))
    import lab as machine
    from build_project import Project
    from lab_machine import Unavailable as NoLab

    try:
        with machine.Lab(ROOT) as lab, tempfile.TemporaryDirectory(prefix="mmectl-bench-") as name:
            for number, frameworks in enumerate(chosen()):
                folder = Path(name, str(number))
                folder.mkdir()
                yield _built(Project(folder, lab, f"bench-{number}"), frameworks)
                shutil.rmtree(folder)
    except NoLab as error:
        raise Unavailable(str(error)) from None


def _built(project: Any, frameworks: str) -> Result:
    """Build one; a failure is a figure, too, and a goal missed."""
    settings = f"image.frameworks=[{', '.join(frameworks.split())}]", *_more()
    started = time.monotonic()
    try:
        answer, _ = project.mmectl("build", *(word for one in settings for word in ("--set", one)))
    except AssertionError as error:
        return Result(frameworks, f"FAILED: {error}", "is built and answers", met=False)
    took = time.monotonic() - started
    image = answer["data"]["image"]
    layers = project.manifest(imageDigest=answer["data"]["digest"])
    compressed = answer["data"]["size"] if layers else 0
    unpacked = int(project.lab.run("inspect", "--format", "{{.Size}}", _local(project)))
    project.lab.run("rmi", "--force", _local(project))
    figure = f"{compressed / 1e6:.0f} pushed, {unpacked / 1e6:.0f} unpacked, {took:.0f} s"
    return Result(frameworks, figure, "is built and answers", met=bool(image))


def _local(project: Any) -> str:
    """The engine's id of the project's image."""
    names = project.lab.run("images", "--quiet", f"{project.lab.registry}/{project.repository}")
    return str(names.split()[0])


def _more() -> Iterator[str]:
    for variable, key in (("BENCH_INDEX", "image.index"), ("BENCH_BASE", "build.base_image")):
        if value := os.environ.get(variable):
            yield f"{key}={value}"
