"""Downloads models to instances: finds the object, reserves its footprint, unpacks it."""

from __future__ import annotations

import asyncio
import threading
from asyncio import to_thread
from pathlib import Path

from mmectl.archive.unpack import (
    DiskFullError,
    FaultError,
    Limits,
    StoppedError,
    TooLargeError,
    Unpacked,
    UnpackError,
    size_hint,
)
from mmectl.local.fleet.admission import Admission, Footprint, NotAdmittedError
from mmectl.local.fleet.errors import ErrorMessages
from mmectl.local.fleet.metering import Meter
from mmectl.local.fleet.placement import Placement
from mmectl.local.fleet.ports import Server, Unpack
from mmectl.local.values import AwsError, FleetSpec, ObjectReader

ALLOW_CODE = "MMECTL_ALLOW_MODEL_CODE"
_REFUSALS = 1000  # remembered


class SlowDownloadError(Exception):
    """ModelDataDownloadTimeoutInSeconds is over."""


class Downloads:
    """The downloads of one fleet."""

    def __init__(
        self,
        spec: FleetSpec,
        objects: ObjectReader,
        placement: Placement,
        admission: Admission,
        meter: Meter,
        errors: ErrorMessages,
        unpacker: Unpack,
    ) -> None:
        self._spec = spec
        self._objects = objects
        self._placement = placement
        self._admission = admission
        self._meter = meter
        self._errors = errors
        self._unpacker = unpacker
        # why archives were refused, by the object's file: reading them again would cost as much
        self._refusals: dict[Path, str] = {}
        self._origins: dict[str, Path] = {}

    async def find(self, target: str) -> Path:
        """The file of a model's object; raises AwsError where there is none."""
        found = await self._objects.find(self._spec.bucket, self._spec.prefix + target)
        if found is None:
            raise self._errors.no_object(target)
        return found.path

    def origin(self, target: str) -> Path | None:
        """The object's file that the model of that name was downloaded from last."""
        return self._origins.get(target)

    async def fetch(self, server: Server, target: str, folder: Path) -> Footprint:
        """Unpack a model's object into a folder, its footprint reserved.

        An object that is replaced or deleted meanwhile is looked up anew. Raises AwsError,
        NotAdmittedError, SlowDownloadError.
        """
        while True:
            archive = await self.find(target)
            self._refuse_again(server, target, archive)
            self._note_origin(target, archive)
            try:
                claimed = await to_thread(size_hint, archive)
                footprint = await self._admission.reserve(server, target, claimed)
                with self._meter.timed("ModelDownloadingTime"):
                    return await self._unpack(server, target, archive, folder, footprint)
            except (FileNotFoundError, AwsError):
                if await to_thread(archive.exists):
                    raise

    def _note_origin(self, target: str, archive: Path) -> None:
        """Forget what was measured of another object under that name."""
        if self._origins.setdefault(target, archive) != archive:
            self._origins[target] = archive
            self._placement.estimates.forget(target)

    async def _unpack(
        self, server: Server, target: str, archive: Path, folder: Path, footprint: Footprint
    ) -> Footprint:
        """Unpack into the free disk, and free more while that is too little; the exact footprint.

        The exact footprint is reserved.
        """
        cache = self._placement.cache(server.id)
        while True:
            limit = max(footprint.disk, footprint.disk + cache.disk - cache.disk_used)
            try:
                done = await self._unpack_in_thread(archive, folder, limit)
            except TooLargeError as error:
                if limit >= cache.disk:
                    raise self._errors.bad_archive(target, str(error), server.id) from error
                disk = min(4 * limit, cache.disk)
                footprint = await self._admission.reserve(server, target, disk)
            except DiskFullError as error:
                if not await self._admission.free_disk(server, target):
                    raise NotAdmittedError("the disk of this machine is full") from error
            except UnpackError as error:
                self._remember_refusal(archive, error)
                raise self._errors.bad_archive(target, str(error), server.id) from error
            else:
                return await self._admission.reserve(server, target, done.disk)

    async def _unpack_in_thread(self, archive: Path, folder: Path, limit: int) -> Unpacked:
        stop = threading.Event()
        code = self._spec.environment.get(ALLOW_CODE, "").lower() in ("true", "1")
        limits = Limits(unpacked=limit, code=code)
        try:
            unpacking = to_thread(self._unpacker, archive, folder, limits, stop)
            return await asyncio.wait_for(unpacking, self._spec.download_timeout)
        except asyncio.TimeoutError:
            raise SlowDownloadError from None
        finally:
            stop.set()  # where we were cancelled, the thread ends as well

    def _refuse_again(self, server: Server, target: str, archive: Path) -> None:
        if archive in self._refusals:
            raise self._errors.bad_archive(target, self._refusals[archive], server.id)

    def _remember_refusal(self, archive: Path, error: UnpackError) -> None:
        """Remember what is wrong with an archive, but not what went wrong on this machine."""
        if isinstance(error, (FaultError, StoppedError)):
            return
        self._refusals[archive] = str(error)
        if len(self._refusals) > _REFUSALS:
            del self._refusals[next(iter(self._refusals))]
