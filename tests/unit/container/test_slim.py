"""What the image leaves out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

CONTAINER = Path(__file__).resolve().parents[3] / "container"


def slim():
    spec = importlib.util.spec_from_file_location("slim", CONTAINER / "build" / "slim.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_requirements_name_what_a_framework_never_opens():
    texts = ["# of a\n# unused: a/*.py\na==1\n", "b==2\n# unused: b/[!l]*\n"]
    assert slim().unused(texts) == ["a/*.py", "b/[!l]*"]


def test_what_another_framework_needs_stays():
    needing = "# unused: requests*\n# unused: idna*\na==1\nrequests==2\nidna==3"
    assert slim().unused([needing, "b==1\nrequests==2\n"]) == ["idna*"]
    assert slim().unused([needing, "requests"]) == ["idna*"]


def test_packages_of_a_users_own_may_need_anything():
    assert "setuptools*" in slim().kept_out("")
    assert "setuptools*" not in slim().kept_out("pandas==2")


@pytest.mark.parametrize("package", ["numpy", "scipy"])
def test_frameworks_agree_on_the_packages_that_they_share(package):
    files = (CONTAINER / "requirements").glob("*.txt")
    found = {
        tuple(line for line in path.read_text().splitlines() if line.startswith(package + "=="))
        for path in files
    }
    assert len(found - {()}) == 1


def test_what_is_removed_is_what_the_patterns_name(tmp_path):
    for name in ("a/libone.so", "a/x/y", "a/z.py", "b/z.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    slim().remove(tmp_path, ["a/[!l]*", "a/*.py", "c/*"])
    left = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(map(str, left)) == ["a/libone.so", "b/z.py"]
