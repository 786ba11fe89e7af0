"""man pages: one for each command, and no warning of the programs that read them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from mmectl.console.menu import COMMANDS

READERS = {
    "man": ("man", "--warnings", "--encoding=utf8", "--local-file"),
    "mandoc": ("mandoc", "-Tlint", "-Wwarning"),
}


def test_every_command_has_a_page(root):
    names = {path.name for path in (root / "docs" / "man").glob("*.1")}
    assert {f"mmectl-{name}.1" for name in COMMANDS} | {"mmectl.1"} <= names
    assert "mmectl-models-promote.1" in names
    text = (root / "docs" / "man" / "mmectl.1").read_text("utf-8")
    assert all(f"mmectl\\-{name}".replace("bug-", "bug\\-") in text for name in COMMANDS)


def test_the_wheel_has_them_where_man_looks(root):
    text = (root / "pyproject.toml").read_text("utf-8")
    assert '"docs/man" = "share/man/man1"' in text


@pytest.mark.parametrize("reader", READERS)
def test_readers_have_nothing_to_say(root, reader):
    if shutil.which(reader) is None:
        pytest.skip(f"{reader} is not installed")
    for name in (
        "mmectl",
        "mmectl-deploy",
        "mmectl-models",
        "mmectl-models-promote",
        "mmectl-init",
    ):
        done = subprocess.run(
            [*READERS[reader], str(root / "docs" / "man" / f"{name}.1")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        said = done.stderr if reader == "man" else done.stdout
        assert (done.returncode, said) == (0, "")
        if reader == "man":
            assert "DESCRIPTION" in done.stdout
