"""The parts of a bug report, each a text without secrets; a part that fails says why."""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmectl.base.errors import ConfigError, MmectlError
from mmectl.base.files import writing
from mmectl.base.scrub import MASK, Scrubber, secret_name

if TYPE_CHECKING:
    from mmectl.app import App

_TAIL = 100_000  # bytes of a log, its last ones
_LOGS, _BUGS = 8, 3  # files, the newest
_ELSEWHERE = "write it elsewhere: mmectl bug-report --output FILE"
_PATIENCE = 3.0  # seconds in which the platform answers
_NO_SECRETS = frozenset({"PWD", "OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY"})
_PLAIN = frozenset({"true", "false", "none", "null", "default", "local"})
_SAFE = re.compile(
    r"AWS_(DEFAULT_)?REGION|AWS_RETRY_MODE|AWS_MAX_ATTEMPTS|AWS_USE_(FIPS|DUALSTACK)_ENDPOINT"
    r"|AWS_EC2_METADATA_DISABLED|AWS_SDK_LOAD_CONFIG|AWS_DEFAULTS_MODE|MMECTL_PLATFORM"
)
_SAFE_VALUE = re.compile(r"[a-z]{2,10}(-[a-z]{2,12})*-?\d?")
_VARIABLE = re.compile(r"\$\{(\w+)")
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?|true|false|null", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The process's variables, the home folder, and the folder of temporary files."""

    environ: Mapping[str, str]
    home: Path
    temporary: Path


def collected(app: App, where: Surroundings, doctor: float) -> dict[str, str]:
    """Name -> text; doctor has so many seconds, 0: it is not asked."""
    scrub = Scrubber(_secrets(app, where), str(where.home))
    parts: dict[str, Callable[[], str]] = {
        "version.json": _versions,
        "config-check.json": lambda: _check(app),
        "config.json": lambda: _values(app),
        "platform.json": lambda: _platform(app),
    }
    if doctor:
        parts["doctor.json"] = lambda: _in_time(lambda: _doctor(app), doctor)
    found = {name: scrub(_told(make)) for name, make in parts.items()}
    found["variables.json"] = _json(variables(where.environ))  # chosen, so not scrubbed
    logs = {**_logs(app), **_bugs(where.temporary)}
    return found | {name: scrub(_told(partial(_tail, path))) for name, path in logs.items()}


def _told(make: Callable[[], str]) -> str:
    try:
        return make()
    except MmectlError as error:
        return _json({"error": error.message, "hint": error.hint, "code": error.code})
    except Exception as error:  # noqa: BLE001 - a report of a bug is made whatever is broken
        return _json({"error": f"{type(error).__name__}: {error}"})


def _json(value: object) -> str:
    return json.dumps(value, indent=2, default=str) + "\n"


def _versions() -> str:
    from mmectl.commands import version

    return _json(version.data(*version.look()))


def _check(app: App) -> str:
    from mmectl.commands.config import checked

    try:
        return _json(checked(app))
    except ConfigError as error:
        return _json({"problems": error.problems, "hint": error.hint})


def _values(app: App) -> str:
    found = app.config
    values = found.values()
    for key in ("endpoint.environment", "aws.tags"):
        values[key] = dict.fromkeys(values[key] or {}, MASK)
    return _json(
        {key: {"value": value, "origin": found.origins[key]} for key, value in values.items()}
    )


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables MMECTL_* and AWS_*: their values where they are harmless, else ``set``."""
    names = (name for name in sorted(environ) if name.startswith(("MMECTL_", "AWS_")))
    return {name: environ[name] if _harmless(name, environ[name]) else "set" for name in names}


def _harmless(name: str, value: str) -> bool:
    if _SAFE.fullmatch(name):
        return bool(_SAFE_VALUE.fullmatch(value) or _NUMBER.fullmatch(value))
    return name.startswith("MMECTL_") and not secret_name(name) and bool(_NUMBER.fullmatch(value))


def _platform(app: App) -> str:
    from mmectl.local.client import platform

    folder = app.config.state_dir
    return _json(
        {
            "state_dir": folder,
            "started_once": platform.began(folder),
            "status": platform.status(folder, timeout=_PATIENCE),
        }
    )


def _doctor(app: App) -> str:
    from mmectl.commands.subject import subject_of
    from mmectl.doctor.checks import examine
    from mmectl.local.client import platform

    if app.local and platform.find(app.config.state_dir, timeout=_PATIENCE) is None:
        return _json({"skipped": "the embedded platform does not run"})
    made = examine(subject_of(app))
    return _json([{"check": one.check, **asdict(found)} for one in made for found in one.findings])


def _in_time(make: Callable[[], str], seconds: float) -> str:
    """What `make` gives, if it does so in time; a thread that hangs ends with us."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(_told(make)), daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else _json({"skipped": f"no answer within {seconds:g} s"})


def _logs(app: App) -> dict[str, Path]:
    """The last logs of the embedded platform and of its instances."""
    try:
        folder = app.config.state_dir / "local"
    except MmectlError:  # then where it usually is
        path = app.config_path
        folder = (path.absolute().parent if path else Path.cwd()) / ".mmectl" / "local"
    own = [path for path in (folder / "platform.log",) if _is_file(path)]
    others = _found(folder, "logs/*/*/*.log")
    return {
        f"logs/{'-'.join(path.relative_to(folder).parts)}": path
        for path in [*own, *_newest(others, _LOGS)]
    }


def _bugs(temporary: Path) -> dict[str, Path]:
    """The tracebacks that this user's mmectl wrote."""
    found = _found(temporary, "mmectl-bug-*.log")
    found = [path for path in found if path.stat().st_uid == os.getuid()]
    return {f"tracebacks/{path.name}": path for path in _newest(found, _BUGS)}


def _found(folder: Path, pattern: str) -> list[Path]:
    """The files of that pattern; none in a folder that may not be looked into."""
    with suppress(OSError):
        return [path for path in folder.glob(pattern) if _is_file(path)]
    return []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file() and not path.is_symlink()
    except OSError:  # in a folder that nobody may look into
        return False


def _newest(paths: list[Path], most: int) -> list[Path]:
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[:most]


def _tail(path: Path) -> str:
    with path.open("rb") as stream:
        whole = stream.seek(0, os.SEEK_END)
        stream.seek(max(whole - _TAIL, 0))
        text = stream.read(_TAIL).decode("utf-8", "replace")
    return text if whole <= _TAIL else text.partition("\n")[2]


def _secrets(app: App, where: Surroundings) -> set[str]:
    """Every secret that we know of, wherever it stands."""
    found = {
        value
        for name, value in where.environ.items()
        if secret_name(name) and name not in _NO_SECRETS
    }
    found |= set(_yaml_leaves(where.environ.get("MMECTL_ENDPOINT_ENVIRONMENT", "")))
    try:
        found |= set(app.config.settings.endpoint.environment.values())
        found |= set(app.config.settings.aws.tags.values())
    except MmectlError:
        pass  # what is wrong is told elsewhere
    written = set(_written(app.config_path))
    named = {name for text in written for name in _VARIABLE.findall(text)}
    found |= written | {where.environ.get(name, "") for name in named} | set(_of_profiles(where))
    return {text for text in found if text and text.lower() not in _PLAIN}


def _of_profiles(where: Surroundings) -> Iterator[str]:
    """What AWS's file of credentials holds."""
    named = where.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    path = Path(named) if named else where.home / ".aws" / "credentials"
    for line in _told(lambda: _tail(path)).splitlines() if _is_file(path) else ():
        name, equals, value = line.partition("=")
        if equals and secret_name(name):
            yield value.strip()


def _written(path: Path | None) -> Iterator[str]:
    """The secrets that a configuration has in clear, also one that is not valid."""
    if path is not None and _is_file(path):
        with suppress(OSError):  # what cannot be read is told elsewhere, and gets into no report
            yield from _within(_parsed(_tail(path)))


def _within(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            inside = key in ("environment", "tags")
            yield from _leaves(one) if inside else _within(one, str(key))
    elif isinstance(value, list):
        for one in value:
            yield from _within(one, name)
    elif isinstance(value, str) and secret_name(name) and "kms" not in name:
        yield value


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _leaves(one)
    elif value is not None:
        yield str(value)


def _yaml_leaves(text: str) -> Iterator[str]:
    if text:
        yield text
        yield from _leaves(_parsed(text))


def _parsed(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def write(target: Path, name: str, parts: Mapping[str, str], now: datetime) -> None:
    """The archive, readable by its owner alone; it appears whole or not at all."""
    unfinished = target.with_name(f".{target.name}.part")
    with writing(target, hint=_ELSEWHERE):
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            with (
                os.fdopen(handle, "wb") as stream,
                tarfile.open(fileobj=stream, mode="w:gz") as tar,
            ):
                os.fchmod(stream.fileno(), 0o600)
                for path, text in parts.items():
                    member = tarfile.TarInfo(f"{name}/{path}")
                    data = text.encode("utf-8", "replace")
                    member.size, member.mode, member.mtime = len(data), 0o600, now.timestamp()
                    tar.addfile(member, io.BytesIO(data))
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
