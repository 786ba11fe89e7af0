"""The console's HTTP server: the shell, static files, pages, the live fleet, actions."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from mmectl.base.errors import MmectlError, UsageError
from mmectl.base.text import age, size
from mmectl.frameworks.expected import Question
from mmectl.web.actions import ACTIONS, Form
from mmectl.web.codes import Codes
from mmectl.web.guard import HEADERS, Guard
from mmectl.web.live import Live
from mmectl.web.pages import PAGES, PARTS, Page
from mmectl.web.questions import judged, known
from mmectl.web.shared import Shared
from mmectl.web.sign_in import SignIn
from mmectl.web.threads import in_thread
from mmectl.web.values import Commands, Data

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
    "list.js": "text/javascript",
    "models.js": "text/javascript",
    "treemap.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
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
        read_only: bool = False,
    ) -> None:
        self._commands, self._guard, self._live = commands, guard, live
        self._sign_in = SignIn(codes or Codes(), guard.token)
        self._shared = Shared(commands)
        self._read_only = read_only
        self._templates = Environment(
            loader=PackageLoader("mmectl.web"), autoescape=True, undefined=StrictUndefined
        )
        self._templates.filters |= {"pretty": _pretty, "size": size, "ago": _ago}

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
                web.get("/ask/{action}", self._asked),
                web.post("/ask/{action}", self._asked),  # names of many models
                web.post("/do/{action}", self._done),
                web.post("/try", self._tried),
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
        """The error, with a way out of the dialog where it is shown in one."""
        return self._html("error.html", error=error, asked="action" in request.match_info)

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
        context = await in_thread(page.context, self._shared, dict(request.query))
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
        if self._read_only:
            raise UsageError("the console was started with --read-only", code="read_only")
        form = _filled(await request.post())
        words = action.arguments(form, action.insists)
        try:
            data = await self._called(*words)
        finally:
            self._shared.forget()  # also where a part of it failed
        return self._html("done.html", name=request.match_info["action"], form=form, data=data)

    async def _tried(self, request: web.Request) -> web.Response:
        """Ask one or two models with a file, a text, or a question whose answer is known."""
        form = await request.post()
        names = [str(form[key]).strip() for key in ("name", "other") if form.get(key)]
        question = await in_thread(self._question, form)
        body, name, told = await in_thread(_body, form, question)
        if not names or not body:
            raise UsageError(
                "name a model, and drop a file or write a request", code="missing_argument"
            )
        kind = str(form.get("content_type") or "").strip()
        options = ("--content-type", kind) if kind else ()
        # removed also where nobody waits for the answers any more
        with tempfile.TemporaryDirectory(prefix="mmectl-console-") as folder:
            path = Path(folder, name)
            await in_thread(path.write_bytes, body)
            answers = [await in_thread(self._answer, one, options, path) for one in names]
        rows = [
            {
                "name": model,
                "answer": answer,
                "error": error,
                "wrong": judged(question, answer) if question and answer else None,
                "command": self._commands.line(
                    "invoke", *options, "--target-model", model, "--", told
                ),
            }
            for model, (answer, error) in zip(names, answers, strict=True)
        ]
        return self._html("tried.html", rows=rows, question=question)

    def _question(self, form: Mapping[str, Any]) -> Question | None:
        chosen = form.get("question")
        if not chosen:
            return None
        found = known(self._commands, str(form.get("name") or "")).get(str(chosen))
        if found is None:
            raise UsageError(
                f"{chosen}: is no question of this model's expected.json", code="bad_value"
            )
        return found

    def _answer(
        self, name: str, options: tuple[str, ...], path: Path
    ) -> tuple[Data | None, MmectlError | None]:
        try:
            called = self._commands("invoke", *options, "--target-model", name, "--", str(path))
        except MmectlError as error:
            return None, error
        return called, None

    async def _called(self, *arguments: str) -> Data:
        return await in_thread(self._commands, *arguments)

    async def _close(self, _: web.Application) -> None:
        if self._live is not None:
            self._live.close()


def _filled(given: Mapping[str, Any]) -> Form:
    """The fields of a MultiDict, each with all of its values."""
    form: dict[str, list[str]] = {}
    for name, value in given.items():
        form.setdefault(name, []).append(str(value))
    return form


def _body(form: Mapping[str, Any], question: Question | None) -> tuple[bytes, str, str]:
    """What is to be sent, a name for it whose ending may tell the media type, and its own name."""
    if question is not None:
        return question.file.read_bytes(), f"request{question.file.suffix}", str(question.file)
    given = form.get("file")
    if isinstance(given, web.FileField) and given.filename:
        ending = Path(given.filename).suffix[:10]
        ending = ending if ending[1:].isalnum() else ""
        return given.file.read(), f"request{ending}", Path(given.filename).name
    return str(form.get("text") or "").encode(), "request", "FILE"


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
