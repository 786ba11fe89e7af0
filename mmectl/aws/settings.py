"""The user's AWS settings: finds credentials early and explains broken profiles.

botocore reads profiles, files and variables late and in many places, and what is broken in them
comes out as any exception. Here they are all met at once, and become a ServiceError that names the
profile or the variable.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import signal
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import botocore.loaders
import botocore.session
from botocore import exceptions as said
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as VARIABLES
from botocore.credentials import JSONFileCache
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError, ResponseParserFactory

from mmectl.base import extras
from mmectl.base.errors import MmectlError, ServiceError

PATIENCE = 60.0  # seconds for finding credentials where nobody can be asked and nobody waits
_REAP_SECONDS = 1.0
_LOOK = "check profile {} in ~/.aws/config and ~/.aws/credentials"
_CACHE = "~/.aws/cli/cache"  # the AWS CLI's sessions of assumed roles
_SETTINGS = {
    said.InvalidRetryModeError: "retry_mode",
    said.InvalidMaxRetryAttemptsError: "max_attempts",
    said.InvalidSTSRegionalEndpointsConfigError: "sts_regional_endpoints",
    said.InvalidDefaultsMode: "defaults_mode",
}
_LOG_IN = (said.SSOError, said.TokenRetrievalError, said.NoAuthTokenError)
_NO_FILE = (said.ConfigParseError, configparser.Error, UnicodeDecodeError, PermissionError)


class NobodyToAsk(BotoCoreError):  # type: ignore[misc]
    """A profile wants a code, and there is no terminal."""

    fmt = "the code of {device} is needed, and there is no terminal to enter it"


class NotAws(BotoCoreError):  # type: ignore[misc]
    """Somebody else answered in place of AWS."""

    fmt = "the answer is not one of AWS ({kind}, status {status})"


@contextmanager
def named(doing: str, session: botocore.session.Session | None) -> Iterator[None]:
    """Turn whatever botocore makes of broken settings into ServiceError; `session` may be None."""
    try:
        yield
    except MmectlError:
        raise
    except Exception as error:
        profile = _profile(session)
        raise ServiceError(
            f"{doing}: {_sentence(error)}", hint=_hint(error, session, profile), code="aws_settings"
        ) from error


def find_credentials(
    session: botocore.session.Session, *, interactive: bool, patience: float = PATIENCE
) -> None:
    """Let the session find its credentials now, wherever they come from.

    Where nobody can be asked, nobody is, and it takes `patience` seconds at most. Raises
    ServiceError.
    """
    with named("AWS credentials", session):
        _share_sessions(session, interactive=interactive)
        if interactive:
            _find(session)
        else:
            _bounded(lambda: _find(session), patience)


def _find(session: botocore.session.Session) -> None:
    found = session.get_credentials()
    if found is not None:
        found.get_frozen_credentials()
    elif (profile := _profile(session)) != "default":
        raise ServiceError(
            f"profile {profile} has no credentials",
            hint=f"{_LOOK.format(profile)}; list profiles: aws configure list-profiles",
            code="no_credentials",
        )


def _share_sessions(session: botocore.session.Session, *, interactive: bool) -> None:
    """Use the AWS CLI's sessions of assumed roles, so that a code is asked for once an hour."""
    provider = session.get_component("credential_provider").get_provider("assume-role")
    provider.cache = _Cache(Path(_CACHE).expanduser())
    if not interactive:
        provider._prompter = _refuse


class _Cache(JSONFileCache):  # type: ignore[misc]
    """The AWS CLI's, where it can be written."""

    def __setitem__(self, key: str, value: Any) -> None:
        with suppress(OSError):
            super().__setitem__(key, value)


def _refuse(prompt: str) -> NoReturn:
    raise NobodyToAsk(device=prompt.removeprefix("Enter MFA code for ").rstrip(": "))


def _bounded(action: Callable[[], None], patience: float) -> None:
    """Do it in a thread; what it started is killed when it takes too long."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(patience)
    if thread.is_alive():
        _kill_children(thread.native_id)
        thread.join(_REAP_SECONDS)  # it reads the end of what was killed
        raise TimeoutError(f"not found within {patience:g} s")
    if failed:
        raise failed[0]


def _kill_children(thread: int | None) -> None:
    """Kill the processes that a thread of ours has started."""
    with suppress(OSError):
        for child in Path(f"/proc/self/task/{thread}/children").read_text("ascii").split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)


def _profile(session: botocore.session.Session | None) -> str:
    """The profile that counts; `default` where none is named."""
    name = session.instance_variables().get("profile") if session else None
    given = name or os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE")
    return str(given or "default")


def _sentence(error: BaseException) -> str:
    """What botocore said, in one line; the exception's name where that is not enough."""
    text = " ".join(str(error).split()).strip() or type(error).__name__
    if isinstance(error, (BotoCoreError, ClientError, OSError)):
        return text.rstrip(":")
    return f"{text} ({type(error).__name__})"


def _hint(error: BaseException, session: botocore.session.Session | None, profile: str) -> str:
    by_kind = _hint_of_kind(error, profile)
    if by_kind is not None:
        return by_kind
    variable = culprit(error)
    if variable is not None:
        return f"fix or unset {variable}"
    if profile == "default" and any(name in os.environ for name in _KEYS):
        return f"check the variables {', '.join(_KEYS)}"
    if isinstance(error, said.CredentialRetrievalError) or _process(session):
        return (
            f"try it: $(aws configure get credential_process --profile {profile}); "
            f"check profile {profile} in ~/.aws/config"
        )
    return _LOOK.format(profile)


_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def _hint_of_kind(error: BaseException, profile: str) -> str | None:
    if isinstance(error, said.ProfileNotFound) and (path := unreadable()) is not None:
        return f"make {path} readable"
    if isinstance(error, said.ProfileNotFound):
        which = next((name for name in _NAMES if os.environ.get(name) == profile), "aws.profile")
        return f"fix {which}; list profiles: aws configure list-profiles"
    if isinstance(error, _LOG_IN):
        return f"aws sso login --profile {profile}"
    if isinstance(error, said.MissingDependencyException):
        return extras.add("botocore[crt]")
    if isinstance(error, said.LoginError):
        return f"aws login --profile {profile}"
    if isinstance(error, (NobodyToAsk, said.RefreshWithMFAUnsupportedError)):
        return (
            f"aws sts get-caller-identity --profile {profile} (in a terminal; its session is "
            "used here, too)"
        )
    if isinstance(error, _NO_FILE) and "~" not in str(error):
        return "fix ~/.aws/config and ~/.aws/credentials, or the file that AWS_CONFIG_FILE names"
    return None


_NAMES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")


def _process(session: botocore.session.Session | None) -> bool:
    with suppress(Exception):
        return session is not None and "credential_process" in session.get_scoped_config()
    return False


def culprit(error: BaseException) -> str | None:
    """The variable of the environment that an error is about, None where it is none."""
    if isinstance(error, said.ProxyConnectionError):
        return _first(r"https?_proxy|all_proxy")
    if isinstance(error, said.SSLError):
        return _first("aws_ca_bundle|requests_ca_bundle")
    logical = next((name for kind, name in _SETTINGS.items() if isinstance(error, kind)), None)
    for name, (_, variables, _, convert) in VARIABLES.items():
        for variable in [variables] if isinstance(variables, str) else variables or ():
            value = os.environ.get(variable)
            if value is not None and (name == logical or _refused(convert, value)):
                return str(variable)
    return _mentioned(str(error))


def _refused(convert: Callable[[str], object] | None, value: str) -> bool:
    try:
        if convert is not None:
            convert(value)
    except ValueError:
        return True
    return False


def _first(pattern: str) -> str | None:
    """The variable that is set of those whose names match."""
    return next((name for name in os.environ if re.fullmatch(pattern, name.lower())), None)


def _mentioned(text: str) -> str | None:
    """The variable whose value, or the host in it, a message has as a word of its own."""
    ours = {
        name: value for name, value in sorted(os.environ.items()) if value and _OURS.match(name)
    }
    hosts = {
        name: _host(value)
        for name, value in ours.items()
        if _ADDRESSES.match(name) or "://" in value
    }
    named = [name for name, value in ours.items() if _has(text, value)]
    named += [name for name, host in hosts.items() if host is None or _has(text, host)]
    return named[0] if named else None


_OURS = re.compile(r"AWS_|REQUESTS_CA_BUNDLE$|.*_proxy$", re.IGNORECASE)
_ADDRESSES = re.compile(r"AWS_ENDPOINT_URL|.*_proxy$", re.IGNORECASE)


def _has(text: str, word: str) -> bool:
    quoted = re.search(rf"""["']{re.escape(word)}["']""", text)
    alone = len(word) > 2 and re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)
    return bool(quoted or alone)


def _host(address: str) -> str | None:
    """The host of an address; None where it has none."""
    try:
        return urllib.parse.urlsplit(address if "://" in address else f"//{address}").hostname
    except ValueError:
        return None


def unreadable(access: Callable[[str, int], bool] = os.access) -> str | None:
    """A file of AWS settings that is there and may not be read."""
    for name in ("config_file", "credentials_file"):
        _, variable, usual, _ = VARIABLES[name]
        path = os.environ.get(str(variable)) or str(usual)
        whole = os.path.expanduser(path)  # noqa: PTH111 - a ~ that nobody can expand stays
        if os.path.exists(whole) and not access(whole, os.R_OK):  # noqa: PTH110
            return path
    return None


def isolated() -> botocore.session.Session:
    """A session on which the user's AWS settings have no say: no variable, no file, no profile."""
    variables = {name: (None, None, value[2], value[3]) for name, value in VARIABLES.items()}
    for name in ("config_file", "credentials_file"):
        variables[name] = (None, None, os.devnull, None)
    session = botocore.session.Session(session_vars=variables)
    loader = botocore.loaders.Loader(  # no models of ~/.aws/models or AWS_DATA_PATH
        extra_search_paths=[botocore.loaders.Loader.BUILTIN_DATA_PATH],
        include_default_search_paths=False,
    )
    session.register_component("data_loader", loader)
    return session


def list_quickly(session: botocore.session.Session) -> None:
    """Let a session take each folder of models for a service's.

    botocore looks into those of all services before it reads one: 10 ms for each kind of file.
    """
    loader = session.get_component("data_loader")

    def listed(type_name: str) -> list[str]:  # botocore names it at some calls
        del type_name
        places = [Path(path) for path in loader.search_paths if Path(path).is_dir()]
        return sorted({one.name for place in places for one in os.scandir(place) if one.is_dir()})

    loader.list_available_services = listed


class StrictParsers(ResponseParserFactory):  # type: ignore[misc]
    """Parsers to which what is no answer of AWS is an error, not an empty answer."""

    def create_parser(self, protocol_name: str) -> Any:
        """One of botocore's, behind a check."""
        return _Strict(super().create_parser(protocol_name), "json" in protocol_name)


class _Strict:
    def __init__(self, parser: Any, is_json: bool) -> None:
        self._parser, self._json = parser, is_json

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def parse(self, response: dict[str, Any], shape: Any) -> Any:
        """Raises NotAws, or ResponseParserError whatever the body is."""
        _refuse_pages(response)
        if self._json and not (shape and shape.serialization.get("payload")):
            _refuse_others(response["body"])
        try:
            return self._parser.parse(response, shape)
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            raise ResponseParserError(f"the answer cannot be read: {error}") from error


def _refuse_pages(response: dict[str, Any]) -> None:
    """Raise NotAws for a page that a proxy or a portal made; a 5xx is tried again anyway."""
    headers = {name.lower(): value for name, value in response["headers"].items()}
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    known = {"x-amzn-requestid", "x-amz-request-id"} & set(headers)
    if kind == "text/html" and not known and response["status_code"] < 500:
        raise NotAws(kind=kind, status=response["status_code"])


def _refuse_others(body: Any) -> None:
    """Botocore takes what is no JSON for an answer without members."""
    if not isinstance(body, bytes) or not body.strip():
        return
    try:
        fits = isinstance(json.loads(body), dict)
    except ValueError:
        fits = False
    if not fits:
        raise ResponseParserError("the answer cannot be read: it is not a JSON object")
