"""Ctrl-C in `mmectl build` says what is left, and what goes on."""

from __future__ import annotations

import pytest
from fakes.cli import call, world

__all__ = ["call", "world"]


def _stopped(*_: object) -> object:
    raise KeyboardInterrupt


class WhileRead:
    handler = property(_stopped)


class WhileBuilt:
    handler = None
    request = property(_stopped)


class WhileMade:
    handler = None
    build_environment = staticmethod(_stopped)


@pytest.mark.parametrize(
    ("image", "platform"), [(WhileRead, "aws"), (WhileBuilt, "aws"), (WhileMade, "local")]
)
def test_ctrl_c_names_the_command_that_continues(call, world, image, platform):
    world.image = image()
    code, out, err = call("build", "--platform", platform, "--set", "image.uri=null")
    assert (code, out) == (130, "")
    assert err.endswith(
        "interrupted: the build was interrupted; no image is registered\n"
        "next:  mmectl build   # continues\n"
    )
