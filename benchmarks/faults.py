"""Faults at random while clients ask and upload: what each request may be answered, what is kept.

Killed are workers, worker servers, Multi Model Server, the entrypoint, the platform's server, its
supervisor, and both at once; objects are deleted and put back; the disk is filled, where the state
can lie on a small file system of its own. Hostile clients come beside (`benchmarks.hostile`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from benchmarks import hostile, soak
from benchmarks.lab import BUCKET, PREFIX, Lab, explained, lab
from benchmarks.report import Result
from benchmarks.soak import Call
from mmectl.local import processes, record

# What SageMaker answers in such cases; `lost` is a connection that ended with the front end.
ALLOWED: dict[str, str] = {
    # while it loaded, or later
    "worker died twice": r"ModelError .*\(500\) .*(Failed to start workers|Worker died)",
    "container lost": r"ModelError .*\(503\) .*The request was lost",
    "disk full": r"ModelError .*\(507\) .*the disk of this machine is full",
    "no memory": r"ModelError .*\(507\) ",
    "no object": r"ValidationError Failed to download model data .* no object",
    "not ready": r"ModelNotReadyException ",
    "no instance": r"ServiceUnavailable ",
    "lost": r"(ConnectionClosedError|EndpointConnectionError|ConnectionError|ReadTimeoutError|"
    r"ResponseStreamingError|ConnectionResetError) ",
}
PART = 5 << 20
TMPFS_MB = 400
REPLACED = 20.0  # seconds in which a killed supervisor has a successor
ROUNDS = 4  # of quiet and attack, by turns
ENOUGH, TRIES = 10, 40  # warm answers that a median is made of; a slow machine takes more turns
GOOD, WARM = 2, 3  # clients, and models that are in memory all the time, of those rounds
SLOWER = 1.5  # times the median of a warm request in quiet
LOG_MB, DISK_MB, MEMORY_MB = 20, 40, 150  # that they may grow by under attack
LARGE = 8  # objects in parts that are kept: the small file system holds few of them


@dataclass(slots=True)
class Kept:
    """What the platform acknowledged: objects by key with their SHA-256, models by name."""

    objects: dict[str, str] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)
    large: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Faults:
    """Does one thing after another to the platform."""

    made: Lab
    choose: random.Random
    done: Counter[str] = field(default_factory=Counter)

    def one(self) -> None:
        """Do one of them at random; one that finds nothing to break does not count."""
        name = self.choose.choice(sorted(self.kinds))
        if self.kinds[name]():
            self.done[name] += 1

    @property
    def kinds(self) -> dict[str, Callable[[], bool]]:
        """Name -> what does it; False where there was nothing to break."""
        kinds = {
            "worker": lambda: self._kill_worker(both=False),
            "worker and its server": lambda: self._kill_worker(both=True),
            "MMS": lambda: self._kill_of_instance("ModelServer"),
            "entrypoint": lambda: self._kill_of_instance("entrypoint.py"),
            "platform server": self._kill_server,
            "supervisor": self._kill_supervisor,
            "supervisor and server": self._kill_all,
            "object deleted": self._delete_object,
        }
        if self._is_small:
            kinds["disk full"] = self._fill_disk
        return kinds

    def _kill_worker(self, *, both: bool) -> bool:
        """The younger process of a model is the worker, the other one serves it."""
        by_folder: dict[str, list[int]] = {}
        for pid in self.made.processes():
            with contextlib.suppress(OSError):
                folder = os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115
                by_folder.setdefault(folder, []).append(pid)
        if not by_folder:
            return False
        pids = sorted(by_folder[self.choose.choice(sorted(by_folder))])
        return _kill(*(pids if both else pids[-1:]))

    def _kill_of_instance(self, part: str) -> bool:
        mine = [
            process.pid
            for process in processes.marked(self.made.state)
            if part in _command(process.pid)
        ]
        return _kill(self.choose.choice(mine)) if mine else False

    def _kill_server(self) -> bool:
        known = record.read(self.made.state)
        return _kill(known.server.pid) if known and known.server else False

    def _kill_supervisor(self) -> bool:
        """Kill it and wait for another one."""
        known = record.read(self.made.state)
        if known is None or known.supervisor is None or not processes.alive(known.server):
            return False
        _kill(known.supervisor.pid)
        deadline = time.monotonic() + REPLACED
        while time.monotonic() < deadline:
            now = record.read(self.made.state)
            if now and now.supervisor != known.supervisor and processes.alive(now.supervisor):
                return True
            time.sleep(0.05)
        raise RuntimeError(f"no supervisor came within {REPLACED:g} s")

    def _kill_all(self) -> bool:
        known = record.read(self.made.state)
        if known is None or known.supervisor is None or known.server is None:
            return False
        _kill(known.supervisor.pid, known.server.pid)
        self.made.start()  # as the next command does
        return True

    def _delete_object(self) -> bool:
        key = PREFIX + self.choose.choice(self.made.targets[1:])
        source = {"Bucket": BUCKET, "Key": PREFIX + self.made.targets[0]}
        try:
            s3 = self.made.client("s3")
            s3.delete_object(Bucket=BUCKET, Key=key)
            time.sleep(1)
        finally:
            until_works(
                lambda: self.made.client("s3").copy_object(
                    Bucket=BUCKET, Key=key, CopySource=source
                )
            )
        return True

    @property
    def _is_small(self) -> bool:
        return shutil.disk_usage(self.made.state).total <= TMPFS_MB << 20

    def _fill_disk(self) -> bool:
        ballast = self.made.state / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1 << 20))
            time.sleep(2)
        finally:
            ballast.unlink(missing_ok=True)
        return True


def _kill(*pids: int) -> bool:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return True


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def until_works(call: Callable[[], object], seconds: float = 30) -> None:
    """Try until it works; the last error when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            call()
        except (ClientError, BotoCoreError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def write(made: Lab, kept: Kept, stop: threading.Event, seed: int) -> None:
    """Upload objects, whole and in parts, and make models; remember what was acknowledged."""
    choose = random.Random(seed)
    s3, sagemaker = made.client("s3"), made.client("sagemaker")
    number = 0
    while not stop.is_set():
        number += 1
        key = f"written/{number:05}"
        try:
            if number % 4 == 0:
                _make_model(made, sagemaker, kept, f"written-{number}")
            elif number % 4 == 1:
                _in_parts(s3, kept, key, choose)
            else:
                body = choose.randbytes(choose.randrange(100_000))
                s3.put_object(Bucket=BUCKET, Key=key, Body=body)
                kept.objects[key] = hashlib.sha256(body).hexdigest()
        except ClientError as error:
            kept.refused[f"{error.response['Error']['Code']}"] += 1
        except (BotoCoreError, OSError) as error:
            kept.refused[type(error).__name__] += 1
        stop.wait(0.2)


def _make_model(made: Lab, sagemaker: Any, kept: Kept, name: str) -> None:
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn="arn:aws:iam::123456789012:role/bench",
        PrimaryContainer={
            "Image": made.image,
            "Mode": "MultiModel",
            "ModelDataUrl": f"s3://{BUCKET}/{PREFIX}",
        },
    )
    kept.models.add(name)


def _in_parts(s3: Any, kept: Kept, key: str, choose: random.Random) -> None:
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
    bodies = [choose.randbytes(PART), choose.randbytes(1000)]
    parts = []
    for number, body in enumerate(bodies, 1):
        where = {"Bucket": BUCKET, "Key": key, "UploadId": upload, "PartNumber": number}
        parts.append({"ETag": s3.upload_part(Body=body, **where)["ETag"], "PartNumber": number})
    s3.complete_multipart_upload(
        Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    kept.objects[key] = hashlib.sha256(b"".join(bodies)).hexdigest()
    kept.large.append(key)
    if len(kept.large) > LARGE:
        oldest = kept.large.pop(0)
        del kept.objects[oldest]
        s3.delete_object(Bucket=BUCKET, Key=oldest)


def lost(made: Lab, kept: Kept) -> list[str]:
    """What was acknowledged and is not there any more, or has other bytes."""
    s3, sagemaker = made.client("s3"), made.client("sagemaker")
    gone = []
    for key, digest in kept.objects.items():
        try:
            body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        except ClientError:
            gone.append(key)
            continue
        if hashlib.sha256(body).hexdigest() != digest:
            gone.append(f"{key} (other bytes)")
    for name in kept.models:
        try:
            sagemaker.describe_model(ModelName=name)
        except ClientError:
            gone.append(name)
    return gone


def stormy_load(
    made: Lab, seconds: float, seed: int, pause: float
) -> tuple[list[Call], Faults, Kept]:
    """Load, uploads, and a fault about every `pause` seconds."""
    faults, kept = Faults(made, random.Random(seed)), Kept()
    stop = threading.Event()
    errors: list[BaseException] = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            errors.append(error)

    def storm() -> None:
        while not stop.wait(faults.choose.uniform(0.5, 1.5) * pause):
            faults.one()

    writer = threading.Thread(target=guarded, args=(lambda: write(made, kept, stop, seed),))
    storms = threading.Thread(target=guarded, args=(storm,))
    writer.start()
    storms.start()
    try:
        calls = soak.load(made, seconds, seed=seed)
    finally:
        stop.set()
        writer.join()
        storms.join()
    if errors:
        raise errors[0]
    return calls, faults, kept


def kind_of(error: str) -> str | None:
    """Which of the allowed answers that is; None for any other."""
    return next((name for name, form in ALLOWED.items() if re.match(form, error)), None)


def judged(
    calls: Sequence[Call], faults: Faults, kept: Kept, gone: list[str], left: list[str]
) -> Iterator[Result]:
    """The figures."""
    done = ", ".join(f"{name} {count}" for name, count in sorted(faults.done.items()))
    yield Result("faults", done, "", None)
    good = sum(not call.error for call in calls)
    yield Result("requests, answered with success", f"{len(calls)}, {good}", "", None)
    kinds = Counter(kind_of(call.error) for call in calls if call.error)
    for name in ALLOWED:
        if kinds[name]:
            yield Result(f"  {name}", str(kinds[name]), "", None)
    others = {call.error for call in calls if call.error and kind_of(call.error) is None}
    yield Result("other answers", "; ".join(others)[:300] or "none", "none", not others)
    what = f"{len(kept.objects)} objects, {len(kept.models)} models"
    yield Result("acknowledged", what, "", None)
    yield Result("writes refused", str(dict(kept.refused)), "", None)
    yield Result("acknowledged and lost", ", ".join(gone) or "nothing", "nothing", not gone)
    yield Result("left after the stop", ", ".join(left) or "nothing", "nothing", not left)


def after(made: Lab) -> None:
    """Everything serves again after the storm, or this raises."""
    made.start()
    made.wait()
    runtime = made.client("sagemaker-runtime")
    for target in made.targets[:5]:
        until_works(lambda target=target: made.invoke(runtime, target))  # type: ignore[misc]


@contextlib.contextmanager
def small_disk() -> Iterator[Path | None]:
    """A file system of its own for the state; None where we may not mount one."""
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m,mode=700", "tmpfs", str(folder)]
    try:
        mounted = os.getuid() == 0 and subprocess.run(mount, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def run(
    seconds: float,
    seed: int,
    *,
    models: int = soak.MODELS,
    hold: int = soak.HOLD,
    pause: float = 4.0,
) -> Iterator[Result]:
    """Measure on a platform of our own that is gone afterwards."""
    yield Result("seed", str(seed), "", None)
    seen = hostile.Seen()
    with small_disk() as disk, lab(models, hold + soak.ROOM, where=disk) as made:
        rounds, grown = by_turns(made, seconds / (5 * ROUNDS), seed, seen)
        log = hostile.log_bytes(made)
        with hostile.beside(made, seed, seen):
            calls, faults, kept = stormy_load(made, seconds, seed, pause)
        log = hostile.log_bytes(made) - log
        after(made)
        gone = lost(made, kept)
        left = made.stop()
    figures = (
        judged(calls, faults, kept, gone, left),
        hostile.judged(seen),
        under_attack(rounds, grown),
        [Result("growth of the log in the storm", f"{log / 2**20:.2f} MB", "", None)],
    )
    yield from explained(made, chain(*figures))


@dataclass(frozen=True, slots=True)
class Grown:
    """What the server's memory, its log and its folder grew by, in bytes."""

    memory: int
    log: int
    disk: int


Rounds = Sequence[tuple[Sequence[Call], Sequence[Call]]]


def by_turns(made: Lab, seconds: float, seed: int, seen: hostile.Seen) -> tuple[Rounds, Grown]:
    """Rounds of so many seconds in quiet, and as many under attack; and what grew meanwhile.

    By turns, so that whatever else the machine does meets both alike.
    """

    def good(number: int) -> list[Call]:
        calls: list[Call] = []
        for _ in range(TRIES):
            calls += soak.load(made, seconds, GOOD, seed + number, WARM)
            if sum(call.cold is False for call in calls) >= ENOUGH:
                return calls
        raise RuntimeError(f"no {ENOUGH} warm answers in {TRIES} turns: {calls[-3:]}")

    good(-1)  # loads them
    before = hostile.memory(made), hostile.log_bytes(made), hostile.disk_bytes(made)
    rounds = []
    for number in range(ROUNDS):
        quiet = good(number)
        with hostile.beside(made, seed + number, seen):
            rounds.append((quiet, good(number)))
    then = hostile.memory(made), hostile.log_bytes(made), hostile.disk_bytes(made)
    return rounds, Grown(*(new - old for new, old in zip(then, before, strict=True)))


def under_attack(rounds: Rounds, grown: Grown) -> Iterator[Result]:
    """What good clients notice of hostile ones, and what the platform grows by."""
    errors = [call.error for _, calls in rounds for call in calls if call.error]
    yield Result("good requests failed under attack", str(errors[:3] or 0), "0", not errors)
    pairs = [(_warm(quiet), _warm(attacked)) for quiet, attacked in rounds]
    ratio = statistics.median(then / before for before, then in pairs)
    each = ", ".join(f"{before * 1000:.1f}/{then * 1000:.1f}" for before, then in pairs)
    figure = f"{ratio:.2f} (ms: {each})"
    yield Result("warm median, attacked by quiet", figure, f"<= {SLOWER:g}", ratio <= SLOWER)
    sizes = grown.memory, grown.log, grown.disk
    limits = MEMORY_MB, LOG_MB, DISK_MB
    figure = ", ".join(f"{size / 2**20:.2f}" for size in sizes) + " MB"
    met = all(size <= limit << 20 for size, limit in zip(sizes, limits, strict=True))
    goal = f"<= {MEMORY_MB}, {LOG_MB}, {DISK_MB} MB"
    yield Result("growth: memory, log, disk", figure, goal, met)


def _warm(calls: Sequence[Call]) -> float:
    """Seconds of a warm request at the median."""
    return statistics.median(call.answered - call.sent for call in calls if call.cold is False)
