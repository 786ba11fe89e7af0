"""Shell lines that point every AWS client at the embedded platform."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

# what would win over the keys and the address that are exported, or clash with them
UNSET = (
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCOUNT_ID",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
    "AWS_STS_REGIONAL_ENDPOINTS",
)
SERVICES = (
    "S3",
    "SAGEMAKER",
    "SAGEMAKER_RUNTIME",
    "STS",
    "IAM",
    "ECR",
    "CLOUDWATCH",
    "CLOUDWATCH_LOGS",
    "APPLICATION_AUTO_SCALING",
)
_OF_A_SERVICE = re.compile(r"AWS_ENDPOINT_URL_[A-Z0-9_]+")
PROXIES = ("NO_PROXY", "no_proxy")  # a proxy must not get what is meant for this machine


def lines(values: Mapping[str, str], shell: str, names: Iterable[str]) -> list[str]:
    """Lines for `sh` or `fish` that export `values`; `names` are the variables that are set now."""
    unset = in_the_way(names)
    return _fish(values, unset) if shell == "fish" else _sh(values, unset)


def in_the_way(names: Iterable[str]) -> list[str]:
    """The variables to unset; `names` are those that are set now."""
    others = {name for name in names if _OF_A_SERVICE.fullmatch(name)}
    return [*UNSET, *sorted(others | {f"AWS_ENDPOINT_URL_{name}" for name in SERVICES})]


def _sh(values: Mapping[str, str], unset: list[str]) -> list[str]:
    exports = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    proxies = [f'export {name}="127.0.0.1${{{name}:+,${name}}}"' for name in PROXIES]
    return [*exports, *proxies, "unset " + " ".join(unset)]


def _fish(values: Mapping[str, str], unset: list[str]) -> list[str]:
    exports = [f"set -gx {name} {_fish_quoted(value)}" for name, value in values.items()]
    proxies = [
        f'set -q {name}; and set -gx {name} "127.0.0.1,${name}"; or set -gx {name} 127.0.0.1'
        for name in PROXIES
    ]
    return [*exports, *proxies, *(f"set -e {name}" for name in unset)]


def _fish_quoted(value: str) -> str:
    inner = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{inner}'"
