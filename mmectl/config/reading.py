"""Reads config.yaml within bounds of size and time, also from pipes and devices."""

from __future__ import annotations

import codecs
import os
import select
import stat
import time
from pathlib import Path

from mmectl.base import os_errors
from mmectl.base.errors import ConfigError

MAX_BYTES = 1_000_000
PATIENCE = 10.0  # seconds that a pipe may take to say something
_OTHERS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


def read_text(path: Path, patience: float = PATIENCE) -> str:
    """The file's text without a byte order mark.

    Pipes are read to their end. Raises ConfigError where there is no such file, it cannot be read,
    is larger than MAX_BYTES, says nothing for `patience` seconds, or is not UTF-8.
    """
    try:
        content = _content(path, patience)
    except FileNotFoundError:
        raise ConfigError(
            (f"{path}: no such file",),
            hint="name one with --config, or write one: mmectl init",
            code="config_not_found",
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        why = getattr(error, "strerror", None) or error
        hint = os_errors.hint(error, path) if isinstance(error, OSError) else None
        raise ConfigError(
            (f"{path}: cannot be read: {why}",),
            hint=hint or "name another one with --config",
            code="config_unreadable",
        ) from None
    return _decoded(path.name, content)


def _content(path: Path, patience: float) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            inside = path / "config.yaml"
            named = inside if inside.is_file() else "FILE"
            raise ConfigError(
                (f"{path}: is a folder",),
                hint=f"name a file: --config {named}",
                code="config_unreadable",
            )
        content = _whole(path, handle, patience)
        if not content and stat.S_ISFIFO(mode):
            raise ConfigError(
                (f"{path}: is a pipe in which nothing came",), code="config_unreadable"
            )
        return content
    finally:
        os.close(handle)


def _whole(path: Path, handle: int, patience: float) -> bytes:
    content = bytearray()
    while len(content) <= MAX_BYTES:
        piece = _piece(path, handle, time.monotonic() + patience)
        if not piece:
            return bytes(content)
        content += piece
    raise ConfigError(
        (f"{path.name}:1:1  the file is larger than {MAX_BYTES:,} bytes",), code="config_too_large"
    )


def _piece(path: Path, handle: int, deadline: float) -> bytes:
    """What comes next, b"" at the end."""
    waiting = select.poll()
    waiting.register(handle, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if waiting.poll(left * 1000):
            try:
                return os.read(handle, MAX_BYTES + 1)
            except BlockingIOError:  # somebody else read it
                continue
    raise ConfigError(
        (f"{path}: nothing came from it for too long",),
        hint="name a file with --config",
        code="config_unreadable",
    )


def _decoded(name: str, content: bytes) -> str:
    encoding = next((word for mark, word in _OTHERS.items() if content.startswith(mark)), None)
    if encoding:
        raise ConfigError(
            (f"{name}:1:1  is {encoding}, not UTF-8",),
            hint="save it as UTF-8",
            code="config_encoding",
        )
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1
        raise ConfigError(
            (f"{name}:{line}:{column}  is not UTF-8: the byte 0x{content[error.start]:02x}",),
            hint="save it as UTF-8",
            code="config_encoding",
        ) from None
