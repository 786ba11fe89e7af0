"""`mmectl --version`: what is installed."""

from __future__ import annotations

import sys
from dataclasses import replace

from fakes.cli import call, result, world

from mmectl import __version__
from mmectl.base.extras import install
from mmectl.base.installed import Extra, Installed, extras
from mmectl.commands.version import text

__all__ = ["call", "world"]


def test_the_first_line_is_for_scripts(call):
    code, out, err = call("--version")
    assert (code, err, out.splitlines()[0]) == (0, "", f"mmectl, version {__version__}")
    for word in ("boto3 1.", f"{sys.version_info.major}.", "container    sha256:", "[local]"):
        assert word in out


def test_how_an_extra_is_added_is_said_for_the_environment_that_mmectl_is_in():
    lacking = Extra("docker", ("docker",), ("docker",))
    found = Installed("1", "3.11", "/x/python", "Linux", {"boto3": "1"}, (lacking,))
    shown = text(found, "sha256:0").splitlines()
    assert shown[-2:] == ["[docker]     lacks docker", f"to add one   {install('EXTRA')}"]
    there = replace(found, extras=(replace(lacking, missing=()),))
    assert text(there, "sha256:0").splitlines()[-1] == "[docker]     installed"


def test_the_same_for_machines(call):
    for words in (("--version", "--json"), ("--json", "--version")):
        code, out, _ = call(*words)
        envelope = result(out)
        data = envelope["data"]
        assert (code, envelope["command"], data["mmectl"]) == (0, "version", __version__)
        assert data["extras"]["local"] is True
        assert data["packages"]["boto3"]
    assert call("--version", "--nope")[0] == 2
    assert call("--version", "--help")[1].startswith("Usage: mmectl")


def test_an_extra_that_lacks_a_package_names_it():
    needs = [
        'flask<4,>=3; extra == "local"',
        "moto>=5 ; extra == 'local'",
        "boto3>=1",
        "x; extra=='dev'",
    ]
    there = {"flask": "3"}
    assert extras(needs, there.get) == [Extra("local", ("flask", "moto"), ("moto",))]
