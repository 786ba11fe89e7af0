"""What is wrong with the section `image`, though each of its values is right."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator

from mmectl.config.sections.image import Image
from mmectl.config.yaml_values import shown
from mmectl.frameworks import detect
from mmectl.images import handler


def problems(image: Image) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of what does not fit together in the section."""
    if image.handler is not None and image.uri is not None:
        yield "image.handler", "is built into an image, image.uri names one: leave one of both out"
    if image.index is not None and (refusal := index_problem(image.index)) is not None:
        yield "image.index", refusal
    for index, name in enumerate(image.frameworks or ()):
        if name == detect.ANY:
            yield f"image.frameworks.{index}", "is 'any': that is what image.handler serves"
        elif (refusal := detect.unknown(name)) is not None:
            yield f"image.frameworks.{index}", refusal
    for index, line in enumerate(image.requirements):
        if not handler.REQUIREMENT.fullmatch(line):
            yield (
                f"image.requirements.{index}",
                f"is {shown(line)}, must be a package with its version, such as pandas==2.3.3",
            )


def index_problem(index: str) -> str | None:
    """What is wrong with the address of a package index; it is not shown where it has a password.

    Configuration is printed and digested: logins do not belong there.
    """
    try:
        parts = urllib.parse.urlsplit(index)
        host = parts.hostname
    except ValueError:
        return "is no address"
    if parts.username or parts.password:
        return "has a login in it: leave that out, and put USER:PASSWORD into MMECTL_INDEX_LOGIN"
    plain = index.isprintable() and not set(index) & set(" |\"'`$\\")
    if parts.scheme not in ("https", "http") or not host or not plain:
        return f"is {shown(index)}, must be an address such as https://HOST/simple"
    return None
