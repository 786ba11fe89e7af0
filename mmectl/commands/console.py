"""`mmectl console`."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import shlex
import sys
import threading
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import MmectlError
from mmectl.commands.common import Call, command
from mmectl.commands.history import history
from mmectl.commands.status import alarm_states
from mmectl.console.output import Mode, Output, Result

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.aws.account import Account
    from mmectl.local.client.platform import Connection
    from mmectl.web.site import Site


SAID = 5  # errors of a command that failed in many parts


@command(
    begins=True,
    examples="mmectl console\nmmectl console --read-only --port 8090\n"
    "mmectl console --no-browser        # print the address only\n"
    "mmectl console --open              # another address of the one that runs",
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of 127.0.0.1 [any].")
@click.option("--read-only", is_flag=True, help="Show only: change nothing, send no request.")
@click.option("--browser/--no-browser", default=True, help="Open the browser [open it].")
@click.option("--open", "again", is_flag=True, help="Sign in once more to the one that runs.")
def console(app: App, port: int, read_only: bool, browser: bool, again: bool) -> Result:
    """Show endpoint, instances, models and traffic in the browser.

    The page is on 127.0.0.1, for whoever has the address that is printed. An address
    signs one tab in, once and within two minutes; --open gives another one.
    Instances and models are shown live on the embedded platform; SageMaker does not
    tell them. Ends with Ctrl-C.
    """
    _require()
    if again:
        return _open_again(app, port, browser=browser)
    _ = app.aws  # an error is told here rather than on every page
    cli = click.get_current_context().find_root().command
    try:
        asyncio.run(_serve(app, cli, port, read_only=read_only, browser=browser))
    except KeyboardInterrupt:
        app.out.note("the console has ended")
    return Result(printed=app.out.mode.json)


def _open_again(app: App, port: int, *, browser: bool) -> Result:
    """Another address of a console that runs. Raises MmectlError where none does."""
    from mmectl.web import consoles

    found = [one for one in consoles.running(app.state_dir) if port in (0, one)]
    if not found:
        which = f" on port {port}" if port else ""
        raise MmectlError(
            f"no console of this project runs{which}",
            hint="mmectl console",
            code="console_not_running",
        )
    code = consoles.leave(app.state_dir, found[0])
    _say(app, consoles.address(found[0], code))
    if browser and app.out.terminal:
        webbrowser.open(consoles.page(app.state_dir, found[0], code).resolve().as_uri())
    return Result(printed=app.out.mode.json)


def _require() -> None:
    """Raise MmectlError where a package of the extra is missing."""
    from mmectl.base import extras

    extras.require("console", "the console cannot be served", MmectlError, "no_console")


async def _serve(
    app: App, cli: click.Command, port: int, *, read_only: bool, browser: bool
) -> None:
    """Serve until cancelled. Raises MmectlError where the port is taken."""
    import socket

    from aiohttp import web

    from mmectl.web import consoles
    from mmectl.web.codes import Codes
    from mmectl.web.guard import Guard
    from mmectl.web.live import Live
    from mmectl.web.site import Site

    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise MmectlError(
            f"127.0.0.1:{port} cannot be used: {error.strerror}",
            hint="another port: mmectl console --port 0",
            code="port_taken",
        ) from None
    token, taken = secrets.token_urlsafe(32), listener.getsockname()[1]
    commands = InProcess(app, cli)
    live = Live(lambda: _endpoint(commands.app)) if app.local else None
    with consoles.announced(app.state_dir, taken) as folder:
        codes = Codes(elsewhere=partial(consoles.taken, folder))
        site: Site = Site(
            commands,
            Guard(token, taken),
            live,
            codes=codes,
            history=commands.history,
            read_only=read_only,
        )
        runner = site.runner()
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            code = consoles.leave(app.state_dir, taken)
            _say(app, consoles.address(taken, code))
            if browser and app.out.terminal:
                _open(consoles.page(app.state_dir, taken, code))
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


def _say(app: App, address: str) -> None:
    if app.out.mode.json:
        app.out.line(json.dumps({"url": address}))
        return
    app.out.line(address)
    app.out.note(
        "the address signs one tab in, within two minutes; another one: mmectl console --open"
    )


def _open(page: Path) -> None:
    """Open the browser: one of the terminal, or none, must not keep the server waiting."""
    threading.Thread(target=webbrowser.open, args=(page.resolve().as_uri(),), daemon=True).start()


def _endpoint(app: App) -> Mapping[str, Any]:
    """The endpoint as the embedded platform tells it. Raises PlatformError."""
    found = app.embedded_endpoint()
    if found is None:
        _require_platform(app)
        found = {"name": app.endpoint_name, "status": "does not exist", "instances": []}
    return {**found, "alarms": alarm_states(app) or {}}


def _require_platform(app: App) -> None:
    """Raise PlatformError where the embedded platform of a project has ended since."""
    from mmectl.local.client import platform

    if app.local and platform.find(app.config.state_dir) is None:
        raise platform.not_running() from None


class InProcess:
    """Calls commands in this process, each with an App of its own that shares one AWS session."""

    def __init__(self, app: App, cli: click.Command) -> None:
        self._project, self._app, self._cli = app, _quiet(app), cli
        self._options = app.options
        self.app = _beside(app, self._app, begins=False)

    def __call__(self, *arguments: str) -> Mapping[str, Any]:
        """The command's `data`. Raises MmectlError, also where a part of it failed."""
        try:
            with self._cli.make_context("mmectl", list(arguments), obj=Call(self._app)) as context:
                result: Result = self._cli.invoke(context)
        except click.ClickException as error:
            raise MmectlError(error.format_message(), code="usage") from None
        except MmectlError:
            _require_platform(self._project)
            raise
        if result.errors:
            raise together(result.errors)
        return result.data

    def history(self, start: float) -> Mapping[str, Any]:
        """What is known of the endpoint since that epoch second. Raises PlatformError."""
        found = history(_beside(self._project, self._app, begins=False), start)
        if found["notes"]:  # nothing is there to be asked
            _require_platform(self._project)
        return found

    def process(self, *arguments: str) -> list[str]:
        """The words that run the command as a process that ends with ours, for the same project."""
        return [sys.executable, "-m", "mmectl.web.attached", *self._words(*arguments)]

    def _words(self, *arguments: str) -> list[str]:
        place = arguments.index("--") if "--" in arguments else len(arguments)
        return [*arguments[:place], *self._options, *arguments[place:]]

    def line(self, *arguments: str) -> str:
        """The command with the options that lead to the same project."""
        place = arguments.index("--") if "--" in arguments else len(arguments)
        words = self._words(*arguments)
        plain = place + 1 < len(arguments) and not any(
            word.startswith("-") for word in arguments[place + 1 :]
        )
        if plain:  # no name that could be taken for an option
            words.remove("--")
        return " ".join(map(quoted, ["mmectl", *words]))


def together(errors: Sequence[MmectlError]) -> MmectlError:
    """One error of several: what each says, of many the first ones."""
    first = errors[0]
    if len(errors) == 1:
        return first
    told = "\n".join(error.message for error in errors[:SAID])
    more = f"\nand {len(errors) - SAID} more" if len(errors) > SAID else ""
    return MmectlError(f"{len(errors)} failed:\n{told}{more}", hint=first.hint, code=first.code)


def quoted(word: str) -> str:
    """A word for bash and zsh; what a terminal would act on when it is pasted is written out."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(map(_written_out, word)) + "'"


def _written_out(letter: str) -> str:
    if letter in "\\'":
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))


class _Sessions:
    """The AWS session that all commands share: another one where the platform has moved."""

    def __init__(self, app: App) -> None:
        self._app, self._lock = app, threading.Lock()
        self._shared, self._place = app.aws, self._now()

    def _now(self) -> tuple[str, str] | None:
        from mmectl.local import record

        known = record.read(self._app.config.state_dir) if self._app.local else None
        return (known.url, known.access_key_id) if known else None

    def session(self, make: Callable[[], Account]) -> Account:
        """The session; `make` makes the next one."""
        place = self._now()
        with self._lock:
            if place not in (None, self._place):
                self._shared, self._place = make(), place
            return self._shared


def _quiet(app: App) -> type[App]:
    """An App for the same project, whatever its options, that prints nowhere.

    It never starts the embedded platform.
    """
    sessions = _Sessions(app)

    class Quiet(type(app)):  # type: ignore[misc]
        @property
        def aws(self) -> Account:
            return sessions.session(lambda: super(Quiet, self).aws)

        def connection(self, *_: Any, **__: Any) -> Connection:
            from mmectl.local.client import platform

            found = platform.find(self.config.state_dir)
            if found is None:
                raise platform.not_running()
            return found

        @classmethod
        def of_options(cls, options: dict[str, Any], *, begins: bool, **how: bool) -> App:
            super().of_options(options, begins=begins, **how)  # takes them out
            return _beside(app, cls, begins=begins)

    return Quiet


def _beside(app: App, kind: type[App], *, begins: bool) -> App:
    out = Output(Mode(json=True, quiet=True, color=False), io.StringIO(), io.StringIO())
    return app.beside(kind, out, begins=begins)
