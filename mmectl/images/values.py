"""Values that the parts of a build hand to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmectl.images.context import Contents
from mmectl.images.trial import Trial

# the image says which context it was made of, so that an interrupted push goes on without a build
DIGEST_LABEL = "mmectl.digest"
BUILT_WITH_LABEL = "mmectl.built-with"


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What is to be built: `reference` is ``registry/repository:tag``, `platform` ``os/arch``.

    `digest` is the one that the tag comes from (``sha256:<hex>``). `owner` names who builds:
    letters and digits; nobody else of that name builds at the same time. `netrc` is the login of
    the package index, as that file has it: no command line, log or layer may hold it. `fresh`:
    nothing that was built or pulled before is used again. `built_with` is mmectl's version and
    the digest of the context, as `label.BuiltWith` has them.
    """

    context: Path
    reference: str
    digest: str
    platform: str
    base_image: str | None = None
    contents: Contents = field(default_factory=Contents)
    trial: Trial = field(default_factory=Trial)
    owner: str = "nobody"
    netrc: str = field(default="", repr=False)
    fresh: bool = False
    built_with: str = ""

    @property
    def labels(self) -> Mapping[str, str]:
        """What the image says of how it was made, beside the Dockerfile's own labels."""
        with_ = {BUILT_WITH_LABEL: self.built_with} if self.built_with else {}
        return {DIGEST_LABEL: self.digest, **with_}

    @property
    def arguments(self) -> Mapping[str, str]:
        """The build arguments that differ from the Dockerfile's own."""
        base = {"BASE_IMAGE": self.base_image} if self.base_image else {}
        return {**base, **self.contents.arguments()}

    @property
    def registry(self) -> str:
        """The registry's host."""
        return self.reference.partition("/")[0]

    @property
    def repository(self) -> str:
        """The repository's name in the registry."""
        return self.reference.partition("/")[2].rpartition(":")[0]

    @property
    def tag(self) -> str:
        """The tag."""
        return self.reference.rpartition(":")[2]

    @property
    def pushed_name(self) -> str:
        """``registry/repository``."""
        return self.reference.rpartition(":")[0]


@dataclass(frozen=True, slots=True)
class RepositoryPolicy:
    """How a repository that is created keeps its images; `kms_key` None: encrypted with AES256."""

    scan_on_push: bool = True
    keep_images: int = 20
    tags: Mapping[str, str] = field(default_factory=dict)
    kms_key: str | None = None


def is_root(user: str) -> bool:
    """Whether an image's user is root: ``user[:group]``, by name or number."""
    return user.partition(":")[0] in ("", "0", "root")


@dataclass(frozen=True, slots=True)
class Facts:
    """What an image says of itself; `size` in bytes as its source counts (0: unknown).

    `user` is what its programs run as, "" where it names none.
    """

    architecture: str
    os: str
    labels: Mapping[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    size: int = 0
    user: str = ""

    @property
    def is_root(self) -> bool:
        """Whether it runs as root, where nobody says otherwise."""
        return is_root(self.user)


@dataclass(frozen=True, slots=True)
class Login:
    """A registry's user and password; the password never shows."""

    username: str
    password: str = field(repr=False)

    @property
    def auth_config(self) -> dict[str, str]:
        """As the Docker SDK takes it for one call."""
        return {"username": self.username, "password": self.password}


LoginToBase = Callable[[], Login]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest in a registry: its exact text, media type and digest."""

    text: str
    media_type: str
    digest: str


@dataclass(frozen=True, slots=True)
class Built:
    """An image in the registry; `size` is that of its compressed layers, bytes."""

    reference: str
    digest: str
    media_type: str
    size: int
    backend: str
    seconds: float
    reused: bool

    @property
    def pinned(self) -> str:
        """``registry/repository@sha256:...``."""
        return pin(self.reference, self.digest)


def pin(reference: str, digest: str) -> str:
    """Name the image of `reference` by digest instead of by tag."""
    name, _, last = reference.partition("@")[0].rpartition("/")
    return f"{name}/{last.partition(':')[0]}@{digest}"
