"""Files and their index, kept in step.

A write goes to a temporary file, is flushed to the disk, renamed, and only then committed to
the index; what a crash leaves between is swept when the vault is opened. File names are
random: a key never reaches the file system.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from mmectl.base.errors import PlatformError
from mmectl.local.s3.files import DISK_FULL, Incoming, Opener, disk_full, is_full
from mmectl.local.s3.index import Index

T = TypeVar("T")


class Vault:
    """The folder of an object store; index work runs in one thread of its own."""

    index: Index

    def __init__(self, folder: Path, opener: Opener) -> None:
        self._folder, self._opener = folder, opener
        self._data, self._temporary = folder / "objects", folder / "incoming"
        self._thread = ThreadPoolExecutor(1, "s3-index")

    async def open(self) -> None:
        """Open the index and sweep what an interrupted run left; raises PlatformError."""
        await self.run(self._open)

    async def close(self) -> None:
        """Close the index."""
        await self.run(self.index.close)
        self._thread.shutdown()

    def _open(self) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)
        for folder in (self._data, self._temporary):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = self._folder / "index.db"
        if not database.exists() and any(os.scandir(self._data)):
            # with an empty index every object would be taken for a leftover
            raise PlatformError(
                f"the local platform's object store has lost its index: {database}",
                hint=f"put it back, or move {self._folder} away and upload again",
                code="platform_store",
            )
        try:
            self.index = Index(database)
            known = self.index.files()
        except sqlite3.DatabaseError as error:
            full = is_full(error)
            keep = f"move {self._folder} away; what was uploaded must be uploaded again"
            raise PlatformError(
                f"the local platform's object store cannot be opened: {database}: {error}",
                hint="free some space" if full else keep,
                code=DISK_FULL if full else "platform_store",
            ) from None
        self._remove(entry.name for entry in os.scandir(self._data) if entry.name not in known)

    def path(self, name: str) -> Path:
        """Where the file of that name lies."""
        return self._data / name

    async def run(self, work: Callable[[], T]) -> T:
        """Read the index."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def change(self, work: Callable[[Index], T]) -> T:
        """Change the index in one transaction."""
        return await self.run(lambda: self._transaction(work))

    def _transaction(self, work: Callable[[Index], T]) -> T:
        with disk_full(), self.index.transaction():
            return work(self.index)

    async def release(self, work: Callable[[Index], list[str]], file: str | None = None) -> None:
        """Run a change and remove the files it lets go; it takes over `file` or removes it.

        All of it in the index's thread: a handler that is cancelled meanwhile must not take
        a file away that was committed.
        """

        def whole() -> None:
            stale = [file] if file else []
            try:
                stale = self._transaction(work)
            finally:
                self._remove(stale)

        await self.run(whole)

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            (self._data / name).unlink(missing_ok=True)

    def incoming(self) -> Incoming:
        """A file to write to; `discard` it in the end, whatever happened."""
        name = uuid.uuid4().hex
        with disk_full():
            return Incoming(self._temporary / name, self._data / name, self._opener)

    def link(self, name: str, size: int) -> str:
        """A second name for a file, as a hard link where there can be one.

        Raises FileNotFoundError when the file is gone.
        """
        second = uuid.uuid4().hex
        try:
            os.link(self._data / name, self._data / second)
        except FileNotFoundError:
            raise
        except OSError:  # too many links, or a file system without
            return self._joined([(name, size)])
        return second

    def join(self, files: Sequence[tuple[str, int]]) -> str:
        """One file of several, given by name and size."""
        return self.link(*files[0]) if len(files) == 1 else self._joined(files)

    def _joined(self, files: Sequence[tuple[str, int]]) -> str:
        incoming = self.incoming()
        try:
            for name, size in files:
                incoming.append(self._data / name, 0, size)
            return incoming.keep()
        finally:
            incoming.discard()
