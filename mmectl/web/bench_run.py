"""A run of `mmectl bench` that the page started: a process of its own, so that it measures alone.

It is the command as somebody would type it, with --json-lines: checks, progress and result.
"""

from __future__ import annotations

import asyncio
import json
import re
import signal
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmectl.base.errors import UsageError
from mmectl.web.attached import PATIENCE
from mmectl.web.threads import in_thread
from mmectl.web.tries import body_of
from mmectl.web.values import Commands, Context

Form = Mapping[str, Any]
PATTERNS = ("even", "zipf", "one-hot")
FIELDS = ("concurrency", "rate", "duration", "count", "content_type")
"""Of the form; each is the option of that name, left out where it is empty."""
_NAME = re.compile(r"\w[\w.-]{0,80}\.json", re.ASCII)
_LINE = 1 << 24  # bytes of a line: the result has the figures of each model
_CHUNK = 1 << 16


def suggested(clock: Callable[[], float] = time.time) -> str:
    """A name for the next run's file."""
    return time.strftime("bench-%Y%m%d-%H%M%S.json", time.localtime(clock()))


def arguments(form: Form) -> tuple[str, ...]:
    """The command's words up to the file. Raises UsageError for a name that cannot be saved."""
    words = [word for name in str(form.get("models") or "").split() for word in ("-m", name)]
    if form.get("pattern") not in (None, "", PATTERNS[0]):
        words += ["--pattern", str(form["pattern"])]
    for field in FIELDS:
        value = str(form.get(field) or "").strip()
        if value:
            words += [f"--{field.replace('_', '-')}", value]
    save = str(form.get("save") or "").strip()
    if not _NAME.fullmatch(save):
        raise UsageError(
            f"{save or 'no name'}: a run is saved in the project's folder, by a name such as "
            "before.json",
            code="bad_value",
        )
    return ("bench", "run", *words, "--save", save)


class Running:
    """The run that goes on, or the last one; one at a time: two would measure each other."""

    def __init__(
        self,
        commands: Commands,
        *,
        clock: Callable[[], float] = time.monotonic,
        longest: int = _LINE,
    ) -> None:
        self._commands, self._clock, self._longest = commands, clock, longest
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._starts = asyncio.Lock()
        self._stopped: float | None = None  # when that was asked for
        self._count = 0
        self._shown: Context = {"line": None}

    @property
    def state(self) -> Context:
        """`line` (None: there was none), `progress`, `save`, `running`, and then `result`.

        `count` numbers the runs, `name` tells also whether it goes on; `stopping`: somebody wants
        it to end, and it `hangs` where it has not done so for `PATIENCE`.
        """
        running = self._task is not None and not self._task.done()
        return {
            **self._shown,
            "running": running,
            "count": self._count,
            "name": f"{self._count}-{'on' if running else 'done'}",
            "stopping": self._stopped is not None,
            "hangs": self._late,
        }

    @property
    def _late(self) -> bool:
        return self._stopped is not None and self._clock() - self._stopped >= PATIENCE

    async def start(self, form: Form) -> None:
        """Begin a run. Raises UsageError where one goes on, or would write over a file."""
        async with self._starts:  # two tabs may ask at once
            await self._start(form)

    async def _start(self, form: Form) -> None:
        if self.state["running"]:
            raise UsageError(
                "a run goes on already: two would measure each other",
                hint="stop it, or wait",
                code="bench_running",
            )
        words = arguments(form)
        save = words[-1]
        if await in_thread(Path(save).exists):
            raise UsageError(f"{save}: is there already; name another file", code="bad_value")
        body, name, told = await in_thread(body_of, form, None)
        if not body:
            raise UsageError("drop a file or write a request", code="missing_argument")
        line = self._commands.line(*words, "--", told)
        self._shown = {"line": line, "save": save, "progress": None, "result": None}
        self._process = self._stopped = None
        self._count += 1
        self._task = asyncio.create_task(self._run(words, body, name))

    async def stop(self) -> None:
        """End it as Ctrl-C does: its figures until then are saved.

        One that goes on for `PATIENCE` after that is killed where it is stopped again.
        """
        if self._stopped is None:
            self._stopped = self._clock()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL if self._late else signal.SIGINT)

    async def close(self) -> None:
        """End it with the console."""
        if self._task is None:
            return
        await self.stop()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._task), PATIENCE)
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        await self._task

    async def _run(self, words: Sequence[str], body: bytes, name: str) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="mmectl-console-") as folder:
                path = Path(folder, name)
                await in_thread(path.write_bytes, body)
                await self._measure(*words, "--json-lines", "--", str(path))
        except (OSError, ValueError) as error:
            self._shown["result"] = _failed(f"it could not be followed: {error}")

    async def _measure(self, *words: str) -> None:
        if self._stopped is not None:
            self._shown["result"] = _failed("it was stopped before it began")
            return
        self._process = await asyncio.create_subprocess_exec(
            *self._commands.process(*words),
            stdin=asyncio.subprocess.PIPE,  # closed where we are killed, too: see `attached`
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=self._longest,
            start_new_session=True,  # Ctrl-C is for the console, which ends it
        )
        if self._stopped is not None:  # while it was made
            await self.stop()
        await self._follow(self._process)

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            async for text in process.stdout:
                with suppress(ValueError, TypeError, KeyError):  # it is no event
                    self._heard(json.loads(text))
        except BaseException:  # nobody reads on, so that it would wait for ever
            with suppress(ProcessLookupError):
                process.kill()
            while await process.stdout.read(_CHUNK):  # its end is seen after what it said
                pass
            raise
        finally:
            code = await process.wait()
        if self._shown["result"] is None:
            self._shown["result"] = _failed(f"it ended with exit code {code} and told nothing")

    def _heard(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "progress":
            self._shown["progress"] = event
        elif event["event"] == "result":
            self._shown["result"] = event["result"]


def _failed(why: str) -> Mapping[str, Any]:
    """An envelope, where the command printed none."""
    error = {"message": f"mmectl bench: {why}", "hint": None}
    return {"exit_code": 1, "data": {}, "errors": [error]}
