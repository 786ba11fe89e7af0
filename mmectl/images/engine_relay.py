"""Reach a container of a smoke test through a Unix socket of ours, and let nobody else reach it.

See `base.relay_container`. The engine has to see folders of this machine; where it does not (one in
a virtual machine), there is no relay.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmectl.base import relay_container
from mmectl.images.local_smoke import short_folder

_SOCKET = "http.sock"
_START_SECONDS = 60.0
_POLL = 0.02


@dataclass(frozen=True, slots=True)
class Relay:
    """`network` is the network mode of who joins it, `socket` the way to its port.

    `ended` says how the relay ended, None while it runs.
    """

    network: str
    socket: Path
    ended: Callable[[], str | None]


@contextlib.contextmanager
def relayed(api: Any, labels: Mapping[str, str]) -> Iterator[Relay | None]:
    """Run a relay until the end of the block; None where the engine runs none."""
    with tempfile.TemporaryDirectory(prefix="mmectl-", dir=short_folder()) as name:
        front = Path(name) / "front"
        front.mkdir()
        front.chmod(0o777)  # for the relay's user; nobody else gets past the folder above
        container = f"mmectl-relay-{secrets.token_hex(6)}"
        try:
            yield _started(api, container, front, labels)
        finally:
            with contextlib.suppress(OSError):  # the SDK's errors are of this kind: it is gone
                api.remove_container(container, force=True, v=True)


def _started(api: Any, name: str, front: Path, labels: Mapping[str, str]) -> Relay | None:
    def ended() -> str | None:
        running = api.inspect_container(name)["State"].get("Running")
        return None if running else "the relay to it ended"

    try:
        _provide(api)
        _create(api, name, front, labels)
        api.start(name)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and ended() is None:
            if (front / _SOCKET).exists():
                return Relay(f"container:{name}", front / _SOCKET, ended)
            time.sleep(_POLL)
    except OSError:  # of the SDK: the engine shows no such folders
        pass
    return None


def _provide(api: Any) -> None:
    """See to it that there is the empty image."""
    try:
        api.inspect_image(relay_container.IMAGE)
    except OSError:
        repository, _, tag = relay_container.IMAGE.partition(":")
        api.import_image_from_data(relay_container.empty(), repository=repository, tag=tag)


def _create(api: Any, name: str, front: Path, labels: Mapping[str, str]) -> None:
    mounts = [_mount(source, target) for target, source in relay_container.mounts().items()]
    mounts.append(_mount(str(front), relay_container.FRONT, read_only=False))
    limits = api.create_host_config(
        network_mode="none",
        mounts=mounts,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit=relay_container.MEMORY,
        memswap_limit=relay_container.MEMORY,
        pids_limit=relay_container.PIDS,
        extra_hosts=relay_container.HOSTS,
    )
    api.create_container(
        relay_container.IMAGE,
        command=relay_container.command(_SOCKET),
        stdin_open=True,  # it ends with its standard input
        user=relay_container.user(),
        hostname=relay_container.HOST,
        host_config=limits,
        labels=dict(labels),
        name=name,
    )


def _mount(source: str, target: str, *, read_only: bool = True) -> dict[str, object]:
    """As the SDK's `Mount`; unlike `binds` the engine makes no folder that is missing."""
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
