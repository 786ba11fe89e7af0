"""``platform.json``: the platform's address, keys and settings; standard library only.

Port, region and credentials stay for good; the processes are there while they run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mmectl.base.files import write_whole
from mmectl.base.values import Credentials
from mmectl.local.processes import Process

VERSION = 1
READY = "ready"  # the file beside platform.json that says that what was to be deployed is
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Budgets:
    """Megabytes (2**20 bytes) for models on one instance; None means what its type has."""

    memory_mb: int | None = None
    disk_mb: int | None = None

    @property
    def memory(self) -> int | None:
        """The same in bytes."""
        return None if self.memory_mb is None else self.memory_mb << 20

    @property
    def disk(self) -> int | None:
        """The same in bytes."""
        return None if self.disk_mb is None else self.disk_mb << 20


@dataclass(frozen=True, slots=True)
class Hosting:
    """Who has the platform, and who reaches it; not kept from one start to the next.

    It ends with its `owner`, None: it runs until it is stopped. The folder of a `disposable` one
    is removed where its owner died. `address` is what it listens on, `host` the name by which
    others reach it there. With `health` everybody who reaches it may ask ``GET /health``.
    """

    owner: Process | None = None
    disposable: bool = False
    address: str = LOOPBACK
    host: str = LOOPBACK
    health: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """The contents of platform.json.

    `port` 0 means not chosen yet; `runtime` is what instances run as: auto, process, docker;
    `budgets` is what models may take on one of them, `scaling_period` the length of autoscaling's
    datapoints in seconds, `bad_day` the seed of faults, None: none.
    """

    port: int
    region: str
    access_key_id: str
    secret_access_key: str
    supervisor: Process | None = None
    server: Process | None = None
    runtime: str = "auto"
    budgets: Budgets = Budgets()
    scaling_period: int = 60
    bad_day: int | None = None
    hosting: Hosting = Hosting()

    def __repr__(self) -> str:
        return f"Record(port={self.port}, region={self.region!r}, server={self.server}, ...)"

    @property
    def credentials(self) -> Credentials:
        """The platform's only key pair."""
        return Credentials(self.access_key_id, self.secret_access_key)

    @property
    def url(self) -> str:
        """The endpoint URL for programs of this machine."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def url_for_others(self) -> str:
        """The endpoint URL for those who reach it by its name."""
        return f"http://{self.hosting.host}:{self.port}"


def path(state_dir: Path) -> Path:
    """Where it lies."""
    return state_dir / "local" / "platform.json"


def read(state_dir: Path) -> Record | None:
    """The record, or None where there is none that can be read; raises OSError."""
    try:
        data = json.loads(path(state_dir).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    try:
        if data.pop("version") != VERSION:
            return None
        for name in ("supervisor", "server"):
            data[name] = data[name] and Process(**data[name])
        data["budgets"] = Budgets(**data.get("budgets", {}))
        hosting = data.get("hosting", {})
        owner = hosting.get("owner")
        data["hosting"] = Hosting(**{**hosting, "owner": owner and Process(**owner)})
        return Record(**data)
    except (AttributeError, KeyError, TypeError):
        return None


def write(state_dir: Path, record: Record) -> None:
    """Replace the record atomically, readable by its owner alone; raises OSError."""
    write_whole(path(state_dir), json.dumps({"version": VERSION, **asdict(record)}))
