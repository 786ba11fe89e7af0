"""The console's HTTP server: the shell, static files, pages, the live fleet, actions."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from importlib.resources import files
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from mmectl.base.errors import MmectlError, UsageError
from mmectl.base.text import age, size
from mmectl.console.bench_view import figure
from mmectl.console.output import milliseconds
from mmectl.web.actions import ACTIONS, Form
from mmectl.web.bench_run import Running, arguments
from mmectl.web.codes import Codes
from mmectl.web.events import SEEN
from mmectl.web.guard import HEADERS, Guard
from mmectl.web.live import Live
from mmectl.web.pages import PAGES, PARTS, Page
from mmectl.web.shared import Shared
from mmectl.web.sign_in import SignIn
from mmectl.web.threads import in_thread
from mmectl.web.tries import picture, tried
from mmectl.web.values import Commands, Data, History, chosen

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MOST_BODY = 25 * 1024 * 1024
"""Bytes: what SageMaker takes for one request."""
_OWN = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "fleet.js": "text/javascript",
    "sign-in.js": "text/javascript",
    "stream.js": "text/javascript",
    "swaps.js": "text/javascript",
    "kept.js": "text/javascript",
    "list.js": "text/javascript",
    "models.js": "text/javascript",
    "treemap.js": "text/javascript",
    "logs.js": "text/javascript",
    "try.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
BACK = {"1h": 3600.0, "1d": 86_400.0, "7d": 7 * 86_400.0, "30d": 30 * 86_400.0}
"""Spans of the history, in seconds."""
# without the token: nothing of these tells of the project
_OPEN = ("shell", "static", "exchange")


class Site:
    """The application. Without `live` instances are not seen; `read_only` has no buttons."""

    def __init__(
        self,
        commands: Commands,
        guard: Guard,
        live: Live | None,
        *,
        codes: Codes | None = None,
        history: History | None = None,
        read_only: bool = False,
    ) -> None:
        self._commands, self._guard, self._live = commands, guard, live
        self._sign_in = SignIn(codes or Codes(), guard.token)
        self._shared = Shared(commands)
        self._read_only = read_only
        self._bench = Running(commands)
        self._history = history
        self._templates = Environment(
            loader=PackageLoader("mmectl.web"), autoescape=True, undefined=StrictUndefined
        )
        self._templates.filters |= {
            "pretty": _pretty,
            "size": size,
            "ago": _ago,
            "figure": figure,
            "duration": milliseconds,
        }

    def application(self) -> web.Application:
        """The routes, each behind the guard."""
        application = web.Application(middlewares=[self._guarded], client_max_size=MOST_BODY)
        application.add_routes(
            [
                web.get("/", self._shell, name="shell"),
                web.get("/static/{name}", _static, name="static"),
                web.post("/sign-in", self._sign_in.exchange, name="exchange"),
                web.post("/code", self._sign_in.invite),
                web.get("/page/{name}", self._page),
                web.get("/live", self._lived),
                web.get("/events", self._happened),
                web.get("/history", self._remembered),
                web.get("/ask/{action}", self._asked),
                web.post("/ask/{action}", self._asked),  # names of many models
                web.post("/do/{action}", self._done),
                web.post("/try", self._tried),
                web.get("/picture", self._pictured),
                web.get("/bench/command", self._bench_command),
                web.post("/bench/start", self._bench_start),
                web.post("/bench/stop", self._bench_stop),
                web.get("/bench/running", self._bench_running),
            ]
        )
        application.on_shutdown.append(self._close)
        return application

    def runner(self) -> web.AppRunner:
        """What serves it; a page that is closed ends its stream."""
        return web.AppRunner(
            self.application(), handler_cancellation=True, access_log=None, shutdown_timeout=1.0
        )

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        route = request.match_info.route.name
        why = self._guard.foreign(request.headers, opens=route == "shell")
        if why is not None:
            return _refused(403, why)
        if route not in _OPEN and not self._guard.knows(request.headers):
            return _refused(401, "not signed in: mmectl console --open")
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _refused(error.status, error.reason)
        except MmectlError as error:
            response = self._failed(request, error)
        except Exception as error:
            log.exception("%s failed", request.path)
            bug = MmectlError(f"a bug in mmectl: {type(error).__name__}: {error}", code="bug")
            response = self._failed(request, bug)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    def _failed(self, request: web.Request, error: MmectlError) -> web.Response:
        """The error, with a way out: of the dialog, or by asking again.

        A page that asks by itself keeps what it shows, with the error above it.
        """
        timed = request.headers.get("HX-Trigger") in ("poll", "poll-again")
        page = request.method == "GET" and request.match_info.get("name") in PAGES
        response = self._html(
            "error.html",
            error=error,
            asked="action" in request.match_info,
            timed=timed,
            again=str(request.rel_url) if page and error.exit_code != UsageError.exit_code else "",
        )
        response.headers["HX-Reselect"] = ".error"  # whatever part the page wanted
        if timed:
            response.headers["HX-Retarget"] = "#failed"
        return response

    def _html(self, template: str, **context: Any) -> web.Response:
        text = self._templates.get_template(template).render(
            read_only=self._read_only, live=self._live is not None, **context
        )
        # a file's name or a saved run may hold what UTF-8 cannot
        body = text.encode("utf-8", "replace")
        return web.Response(body=body, content_type="text/html", charset="utf-8")

    async def _shell(self, _: web.Request) -> web.Response:
        return self._html("shell.html", pages=PAGES)

    async def _page(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        page: Page | None = PAGES.get(name) or PARTS.get(name)
        if page is None:
            raise web.HTTPNotFound
        context = await in_thread(page.context, self._shared, request.query)
        return self._html(f"{name}.html", title=page.title, **context)

    async def _lived(self, request: web.Request) -> web.StreamResponse:
        """A JSON object a line, for as long as the page is open; nothing on AWS."""
        if self._live is None:
            return web.Response(status=204)
        response = web.StreamResponse(headers=HEADERS)
        response.content_type = "application/x-ndjson"
        await response.prepare(request)
        try:
            async for message in self._live.messages():
                await response.write(json.dumps(message).encode() + b"\n")
        except ConnectionError:
            pass  # the page was closed
        return response

    async def _happened(self, _: web.Request) -> web.Response:
        found = list(self._live.events)[::-1] if self._live is not None else []
        return self._html("events.html", events=found)

    async def _remembered(self, request: web.Request) -> web.Response:
        """What happened while no page was open."""
        since = chosen(request.query, "since", tuple(BACK), "1d")
        found: Data = {"events": (), "notes": ()}
        if self._history is not None:
            found = await in_thread(self._history, time.time() - BACK[since])
        saw = self._live.saw if self._live is not None else lambda _: False
        events = [row for row in found["events"] if row["what"] not in SEEN or not saw(row["time"])]
        return self._html("history.html", since=since, events=events, notes=found["notes"])

    async def _asked(self, request: web.Request) -> web.Response:
        """What an action would do, and the command that does it."""
        action = ACTIONS.get(request.match_info["action"])
        if action is None:
            raise web.HTTPNotFound
        form = _filled(request.query if request.method == "GET" else await request.post())
        shown: Data = {}
        if action.shows:
            shown = await self._called(*action.arguments(form, action.shows))
        line = self._commands.line(*action.arguments(form, action.insists))
        return self._html(
            "ask.html",
            action=action,
            name=request.match_info["action"],
            form=form,
            command=line,
            shown=shown,
        )

    async def _done(self, request: web.Request) -> web.Response:
        action = ACTIONS.get(request.match_info["action"])
        if action is None:
            raise web.HTTPNotFound
        self._may_act()
        form = _filled(await request.post())
        words = action.arguments(form, action.insists)
        try:
            data = await self._called(*words)
        finally:
            self._shared.forget()  # also where a part of it failed
        return self._html("done.html", name=request.match_info["action"], form=form, data=data)

    async def _tried(self, request: web.Request) -> web.Response:
        self._may_act()
        return self._html("tried.html", **await tried(self._commands, await request.post()))

    async def _pictured(self, request: web.Request) -> web.Response:
        body, kind = await in_thread(picture, self._commands, dict(request.query))
        return web.Response(body=body, content_type=kind)

    async def _bench_command(self, request: web.Request) -> web.Response:
        """What the form would do, as somebody would type it."""
        line = self._commands.line(*arguments(request.query), "--", "FILE")
        return self._html("bench_command.html", line=line)

    async def _bench_start(self, request: web.Request) -> web.Response:
        self._may_act()
        await self._bench.start(await request.post())
        return self._html("bench_changed.html", seen=False)

    async def _bench_stop(self, request: web.Request) -> web.Response:
        self._may_act()
        known = request.query.get("known", "")
        if known in ("", self._bench.state["name"]):  # none that began after the one that is shown
            await self._bench.stop()
        return self._bench_moved(known)

    async def _bench_running(self, request: web.Request) -> web.Response:
        if "known" in request.query:
            return self._bench_moved(request.query["known"])
        return self._html("bench_running.html", run=self._bench.state, seen="seen" in request.query)

    def _bench_moved(self, known: str) -> web.Response:
        """What moved on a page that shows the state `known`: its buttons are never swapped.

        A page that shows another state asks for all of it.
        """
        run = self._bench.state
        if known != run["name"]:
            return self._html("bench_changed.html", seen=known == f"{run['count']}-on")
        if not run["running"]:
            return web.Response(status=204)
        return self._html("bench_progress.html", run=run)

    def _may_act(self) -> None:
        """Raise UsageError where the console is to look only."""
        if self._read_only:
            raise UsageError("the console was started with --read-only", code="read_only")

    async def _called(self, *arguments: str) -> Data:
        return await in_thread(self._commands, *arguments)

    async def _close(self, _: web.Application) -> None:
        await self._bench.close()
        if self._live is not None:
            self._live.close()


def _filled(given: Mapping[str, Any]) -> Form:
    """The fields of a MultiDict, each with all of its values."""
    form: dict[str, list[str]] = {}
    for name, value in given.items():
        form.setdefault(name, []).append(str(value))
    return form


async def _static(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if name == "htmx.min.js":
        text = (
            files("js_lib_htmx")
            .joinpath("static")
            .joinpath("htmx")
            .joinpath(name)
            .read_text("utf-8")
        )
        return web.Response(text=text, content_type="text/javascript")
    if name not in _OWN:
        raise web.HTTPNotFound
    text = files("mmectl.web").joinpath("static").joinpath(name).read_text("utf-8")
    return web.Response(text=text, content_type=_OWN[name])


def _ago(moment: str) -> str:
    """How long ago that was, of an ISO time."""
    return age((datetime.now(timezone.utc) - datetime.fromisoformat(moment)).total_seconds())


def _pretty(value: Any, indent: int | None = None) -> str:
    """JSON as `--json` prints it."""
    return json.dumps(value, indent=indent, default=str)


def _refused(status: int, why: str) -> web.Response:
    return web.Response(status=status, text=f"{why}\n", headers=HEADERS)
