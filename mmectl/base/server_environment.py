"""The environment of a container's server on this machine; pure, standard library only."""

from __future__ import annotations

from collections.abc import Mapping

# What a container may see of whoever starts it: no credentials, and no settings of Python, Java,
# a framework or the server, which a container on AWS has not either.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "JAVA_HOME", "LD_LIBRARY_PATH")


def server_environment(outer: Mapping[str, str], *layers: Mapping[str, str]) -> dict[str, str]:
    """Little of the environment `outer`, and what the image, the model and the contract say.

    Later layers win. Instances, the try of an image and all that looks at what it runs with
    have the same environment by this.
    """
    environment = {name: outer[name] for name in _INHERITED if name in outer}
    for layer in layers:
        environment |= layer
    return environment
