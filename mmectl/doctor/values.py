"""What checks look at, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from mmectl.base.policies import Context
from mmectl.base.values import Identity, Location
from mmectl.iam.policy import Names
from mmectl.spec.policy import Policy

Severity = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found: `what` is so, `why` it matters, `fix` is what to type."""

    severity: Severity
    what: str
    why: str = ""
    fix: str = ""
    code: str = ""
    """For machines; "" where nothing is wrong."""


def ok(what: str) -> Finding:
    """Nothing is wrong."""
    return Finding("ok", what)


def warn(what: str, why: str = "", fix: str = "", *, code: str) -> Finding:
    """It works, but not as well as it might; or nobody lets us look."""
    return Finding("warn", what, why, fix, code)


def fail(what: str, why: str = "", fix: str = "", *, code: str) -> Finding:
    """AWS would refuse it, or the endpoint would not serve."""
    return Finding("fail", what, why, fix, code)


class Quota(NamedTuple):
    """A quota of the account in the region; `used` is None where AWS does not count."""

    value: float
    used: float | None = None


class Subnet(NamedTuple):
    """A subnet with the name of its zone, its VPC and the addresses that are free."""

    name: str
    zone: str
    vpc: str
    free: int


class Bucket(NamedTuple):
    """What S3 tells of a bucket: `encryption` such as ``aws:kms``, None where it is none.

    `policy` is its document. `unknown` names what nobody lets us look at; a `foreign` one is
    another account's.
    """

    exists: bool
    encryption: str | None = None
    policy: object = None
    unknown: tuple[str, ...] = ()
    foreign: bool = False


class ImageFacts(NamedTuple):
    """An image as its registry tells it; `problems` are what SageMaker would refuse.

    `user` is what it runs as ("" where it names none: root), `size` its layers in bytes.
    """

    reference: str
    problems: tuple[str, ...] = ()
    user: str | None = None
    size: int | None = None


class ModelSizes(NamedTuple):
    """Bytes of the uploaded models' tarballs by TargetModel; and in memory, where measured."""

    packed: Mapping[str, int]
    measured: Mapping[str, int]


class Account(Protocol):
    """What checks ask of AWS. Every question may raise ServiceError."""

    def identity(self) -> Identity:
        """Who we are."""
        ...

    def clock(self) -> float:
        """Seconds that AWS's clock is ahead of ours."""
        ...

    def role(self) -> Mapping[str, Any] | None:
        """The execution role as IAM describes it; None: there is none of that name."""
        ...

    def simulate(
        self, arn: str, actions: Sequence[str], resources: Sequence[str], context: Context
    ) -> Mapping[tuple[str, str], str]:
        """(action, resource) -> decision, by the policies of a user or role."""
        ...

    def caller(self) -> str | None:
        """The ARN whose policies are the caller's; None: the account's owner, who may all."""
        ...

    def bucket(self, name: str) -> Bucket:
        """The models' bucket."""
        ...

    def quota(self, name: str) -> Quota | None:
        """A quota of SageMaker's; None: the region has none of that name."""
        ...

    def offered(self, instance_type: str) -> bool | None:
        """Whether the region sells it for endpoints; None: the price list does not tell."""
        ...

    def subnets(self, names: Sequence[str]) -> Sequence[Subnet]:
        """Those of the subnets that exist."""
        ...

    def reaches_s3(self, vpc: str) -> bool:
        """Whether the VPC has an endpoint of S3."""
        ...

    def alarms(self, names: Sequence[str]) -> Mapping[str, str]:
        """State by name of those alarms that exist."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration asks for, as far as checks need it."""

    region: str
    endpoint: str
    location: Location
    instance_type: str
    instance_count: int
    policy: Policy
    volume_gb: int | None = None
    more: tuple[tuple[str, int], ...] = ()
    """Further instance types of several variants, with their instances."""
    tags: int = 0
    subnets: tuple[str, ...] = ()
    bucket_key: str | None = None
    memory: int | None = None
    """Bytes for models in memory of an instance; None: as its type has."""
    disk: int | None = None
    """The same of its disk."""
    made: tuple[str, ...] = ()
    """Alarms that deploy makes where they are missing."""

    @property
    def fleets(self) -> tuple[tuple[str, int], ...]:
        """Every instance type with its instances."""
        return ((self.instance_type, self.instance_count), *self.more)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at. The last ones are called by the checks that need them."""

    wanted: Wanted
    account: Account
    local: bool
    names: Callable[[], Names]
    image: Callable[[], ImageFacts]
    running: Callable[[], int]
    """Instances of the endpoint that run now."""
    has_models: Callable[[], bool]
    sizes: Callable[[], ModelSizes]
    unserved: Callable[[], Iterable[str]]
    """Lines of models that the image would not load."""
