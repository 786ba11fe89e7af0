"""The sizes of the image for each framework, built, tried and pushed by `mmectl build`.

It builds in the Docker lab (docs/docker-lab.md: root and Debian's packages; MMECTL_LAB=1 installs
them), whose engine and registry are gone afterwards. BENCH_IMAGES="onnx,mxnet onnx" chooses: one
image for each list of frameworks. PyTorch's CPU build is taken as tests/torch_index.py has it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
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
    sys.path[:0] = [str(LAB), str(LAB.parent)]
    import lab as machine
    from build_project import Project
    from lab_machine import Unavailable as NoLab

    try:
        with machine.Lab(ROOT) as lab, tempfile.TemporaryDirectory(prefix="mmectl-bench-") as name:
            for number, frameworks in enumerate(chosen()):
                folder = Path(name, str(number))
                folder.mkdir()
                with ExitStack() as stack:
                    more = _index(stack, lab) if "pytorch" in frameworks.split() else ()
                    yield _built(Project(folder, lab, f"bench-{number}"), frameworks, more)
                shutil.rmtree(folder)
    except NoLab as error:
        raise Unavailable(str(error)) from None


def _index(stack: ExitStack, lab: Any) -> tuple[str, ...]:
    """The setting of an index with PyTorch's CPU build, where the engine's containers reach it."""
    import torch_index

    try:
        index = torch_index.index(ROOT / ".mmectl" / "wheels", f"10.211.{lab.number}.1")
        return (f"image.index={stack.enter_context(index)}",)
    except torch_index.Unavailable as error:
        raise Unavailable(str(error)) from None


def _built(project: Any, frameworks: str, more: tuple[str, ...]) -> Result:
    """Build one; a failure is a figure, too, and a goal missed."""
    (project.folder / "config.yaml").write_text(
        f"image: {{frameworks: [{', '.join(frameworks.split())}]}}\n", "utf-8"
    )
    started = time.monotonic()
    try:
        answer, _ = project.mmectl("build", *(word for one in more for word in ("--set", one)))
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
