"""What the image leaves out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

CONTAINER = Path(__file__).resolve().parents[3] / "container"


def slim():
    spec = importlib.util.spec_from_file_location("slim", CONTAINER / "build" / "slim.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_requirements_name_what_a_framework_never_opens(tmp_path):
    (tmp_path / "a.txt").write_text("# of a\n# unused: a/*.py\na==1\n")
    (tmp_path / "b.txt").write_text("b==2\n# unused: b/[!l]*\n")
    assert slim().unused(tmp_path) == ["a/*.py", "b/[!l]*"]
    assert slim().unused(CONTAINER / "requirements") == ["mxnet/[!l]*", "mxnet/*.py"]


def test_what_is_removed_is_what_the_patterns_name(tmp_path):
    for name in ("a/libone.so", "a/x/y", "a/z.py", "b/z.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    slim().remove(tmp_path, ["a/[!l]*", "a/*.py", "c/*"])
    left = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(map(str, left)) == ["a/libone.so", "b/z.py"]
