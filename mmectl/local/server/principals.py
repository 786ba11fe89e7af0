"""Users and roles of the platform's IAM: their access keys and policies, as moto keeps them.

Called in moto's own thread; `backend` is its IAM of the account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mmectl.base.policies import Asked, Context, Decision, decide
from mmectl.base.values import Credentials

ALL = '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: their key, the documents of their policies, and of a permissions boundary."""

    arn: str
    credentials: Credentials
    documents: tuple[str, ...]
    boundary: str | None = None

    def may(self, asked: Asked) -> Decision:
        """What their policies say; a boundary must allow it, too."""
        given = {"aws:username": [self.arn.rpartition("/")[2]], "aws:principalarn": [self.arn]}
        asked = Asked(asked.action, asked.resource, {**given, **asked.context})
        found = decide(self.documents, asked)
        if found != "allowed" or self.boundary is None:
            return found
        return decide((self.boundary,), asked)


def of_key(backend: Any, access_key_id: str) -> Principal | None:
    """The user that an active access key belongs to."""
    for user in backend.users.values():
        for key in user.access_keys:
            if key.access_key_id == access_key_id and key.status == "Active":
                credentials = Credentials(access_key_id, key.secret_access_key)
                return _of_user(backend, user, credentials)
    return None


def of_arn(backend: Any, arn: str) -> Principal | None:
    """A user, group or role by its ARN."""
    nobody = Credentials("", "")
    for user in backend.users.values():
        if user.arn == arn:
            return _of_user(backend, user, nobody)
    for one in (*backend.groups.values(), *backend.roles.values()):
        if one.arn == arn:
            boundary = getattr(one, "permissions_boundary_arn", None)
            return Principal(arn, nobody, _documents(one), _policy(backend, boundary))
    return None


def role_arn(backend: Any, name: str) -> str | None:
    """The ARN of a role, with its path."""
    return next((str(role.arn) for role in backend.roles.values() if role.name == name), None)


def _of_user(backend: Any, user: Any, credentials: Credentials) -> Principal:
    groups = [group for group in backend.groups.values() if user in group.users]
    documents = [text for holder in (user, *groups) for text in _documents(holder)]
    boundary = getattr(user, "permissions_boundary_arn", None)
    return Principal(user.arn, credentials, tuple(documents), _policy(backend, boundary))


def _documents(holder: Any) -> tuple[str, ...]:
    managed: Iterable[Any] = holder.managed_policies.values()
    return (*map(str, holder.policies.values()), *map(_default, managed))


def _default(policy: Any) -> str:
    """The text of a managed policy's default version."""
    found = (version.document for version in policy.versions if version.is_default)
    return str(next(found, ""))


def _policy(backend: Any, arn: str | None) -> str | None:
    if not arn:
        return None
    policy = backend.managed_policies.get(arn)
    return _default(policy) if policy is not None else ""  # a boundary that is gone allows nothing


Judge = Callable[[Asked], Decision]


def simulated(
    judge: Judge, actions: Iterable[str], resources: Iterable[str], context: Context
) -> list[tuple[str, str, Decision]]:
    """(action, resource, decision) of each pair, as SimulatePrincipalPolicy lists them."""
    return [
        (action, resource, judge(Asked(action, resource, context)))
        for action in actions
        for resource in resources
    ]
