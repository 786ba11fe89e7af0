"""STS, IAM and ECR: moto, mounted in-process.

moto and Flask are imported in a thread by the first call that needs them, then one thread
answers: moto is not made for several. Its state lives as long as the server.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from aiohttp import web

from mmectl.base import partitions, policies
from mmectl.local.call import Call, unquote
from mmectl.local.refusals import JSON_1_1, xml_text
from mmectl.local.server import authorization, principals
from mmectl.local.small_requests import ANSWERS, WIRES, Asked, not_carried_out, read
from mmectl.local.values import ACCOUNT, ROLE, AwsError

log = logging.getLogger(__name__)

SERVICES = tuple(WIRES)
MOST_INFLATED = 32 * 1024 * 1024  # bytes; a layer's part is the largest that anybody sends
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
ALLOWED = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:*", "ecr:*", "logs:*", "cloudwatch:*", "kms:*", "ec2:*"],
            "Resource": "*",
        }
    ],
}
"""What the role may do, for who asks SimulatePrincipalPolicy; the platform fetches by itself."""
T = TypeVar("T")
Wsgi = Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]


def load(region: str) -> Wsgi:
    """Import moto and seed it for the partition of that region; takes seconds."""
    partition = partitions.of(region)
    _isolate(os.environ)
    _teach()
    from moto.iam.models import iam_backends
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    iam_backends.reset()  # moto's state is the process's, not the platform's
    iam_backends[ACCOUNT][partition.name].create_role(
        role_name=ROLE,
        assume_role_policy_document=json.dumps(TRUST),
        path="/service-role/",
        permissions_boundary=None,
        description="The role of models on the embedded platform",
        tags=[],
        max_session_duration=3600,
    ).put_policy("local", json.dumps(ALLOWED))
    application: Wsgi = DomainDispatcherApplication(create_backend_app)
    return application


def _isolate(environ: MutableMapping[str, str]) -> None:
    """Leave moto, which makes sessions of boto3, nothing of the user's settings."""
    for name in [name for name in environ if name.startswith(("AWS_", "MOTO_", "BOTO"))]:
        del environ[name]
    environ["AWS_CONFIG_FILE"] = environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    environ["MOTO_ALLOW_NONEXISTENT_REGION"] = "true"


def _teach() -> None:
    """Tell moto of every partition, before the modules that ask are imported."""
    from moto.utilities import utils

    for partition in partitions.known():
        start = _START.match(partition.pattern)
        if start is not None and partition.name != partitions.DEFAULT:
            utils.REGION_PREFIX_TO_PARTITION[start[1].replace("\\", "")] = partition.name
    names = sorted({*utils.PARTITION_NAMES, *utils.REGION_PREFIX_TO_PARTITION.values()})
    utils.PARTITION_NAMES[:] = names
    utils.ARN_PARTITION_REGEX = f"^arn:({'|'.join(names)})"


# the letters that a partition's regions begin with: ^us\-gov\-\w+\-\d+$
_START = re.compile(r"\^((?:[a-z]+\\-)+)")


class SmallServices:
    """Answers the calls of `SERVICES`, and what others hand on to moto."""

    def __init__(self, loader: Callable[[str], Wsgi] = load, region: str = "us-east-1") -> None:
        self._loader = loader
        self._region = region
        self._application: Wsgi | None = None
        self._thread = ThreadPoolExecutor(1, "small-services")

    async def __call__(self, call: Call) -> web.StreamResponse:
        """Check the call, then answer it or hand it to moto."""
        asked = await asyncio.to_thread(read, call, MOST_INFLATED)
        if asked.operation == "SimulatePrincipalPolicy":
            return await self._simulate(call, asked)
        own = ANSWERS.get((asked.service, asked.operation))
        if own is not None:
            body = json.dumps(own(asked.params)).encode()
            return web.Response(body=body, headers={"Content-Type": JSON_1_1})
        return await self.forward(call, asked)

    async def find(self, access_key_id: str) -> principals.Principal | None:
        """The user whose access key it is; there are none before IAM was first asked."""
        if self._application is None:
            return None
        return await self._in_thread(lambda: principals.of_key(self._backend(), access_key_id))

    async def require(self, who: principals.Principal, call: Call) -> None:
        """Raise AwsError for what the policies of a user do not allow."""
        place = authorization.Place(self._region, self._role_arn)

        def look() -> tuple[policies.Asked, ...]:
            return authorization.asked_of(call, place)

        # only IAM's ARNs are moto's to tell
        wanted = await self._in_thread(look) if call.claim.service == "iam" else look()
        for asked in wanted:
            decision = who.may(asked)
            if decision != "allowed":
                raise authorization.refused(call, who.arn, asked, decision)

    def _role_arn(self, name: str) -> str | None:
        return principals.role_arn(self._backend(), name)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _backend(self) -> Any:
        from moto.iam.models import iam_backends

        return iam_backends[ACCOUNT][partitions.of(self._region).name]

    async def _simulate(self, call: Call, asked: Asked) -> web.StreamResponse:
        """SimulatePrincipalPolicy: what the policies of a user, group or role allow."""
        params = asked.params
        arn = params["PolicySourceArn"]
        who = await self._in_thread(lambda: self._judge(arn))
        rows = principals.simulated(
            who,
            params.get("ActionNames", ()),
            params.get("ResourceArns") or ("*",),
            _context_of(params.get("ContextEntries", ())),
        )
        body = _evaluated(rows, call.request_id)
        return web.Response(body=body.encode(), headers={"Content-Type": "text/xml"})

    def _judge(self, arn: str) -> principals.Judge:
        """The policies of an ARN; the project's own key may do everything."""
        if self._application is None:
            self._application = self._loader(self._region)
        owner = f"arn:{partitions.of(self._region).name}:sts::{ACCOUNT}:user/moto"
        if arn == owner:
            return lambda _: "allowed"
        found = principals.of_arn(self._backend(), arn)
        if found is None:
            raise AwsError("NoSuchEntity", f"{arn[:256]} cannot be found.", 404)
        return found.may

    async def forward(self, call: Call, asked: Asked) -> web.StreamResponse:
        """Hand a checked call to moto; raises AwsError where moto has no answer."""
        environment = wsgi_environment(call)
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._thread, self._run, environment, asked)
        status, headers, body = await running
        return web.Response(status=status, headers=headers, body=body)

    def _run(self, environment: dict[str, Any], asked: Asked) -> tuple[int, dict[str, str], bytes]:
        if self._application is None:
            self._application = self._loader(self._region)
        try:
            status, headers, body = _served(self._application, environment)
        except NotImplementedError as error:
            raise _without_answer(asked, error) from None
        except Exception as error:  # noqa: BLE001  # moto raises anything at what it has not got
            raise _failed(asked, f"{type(error).__name__}: {error}") from None
        if status >= 500:
            raise _failed(asked, f"status {status}")
        return status, headers, self._hosts(body)

    def _hosts(self, body: bytes) -> bytes:
        """The body with registries of our partition; moto writes those of `aws`."""
        start = f".dkr.ecr.{self._region}."
        suffix = partitions.of(self._region).suffix
        return body.replace(f"{start}amazonaws.com".encode(), f"{start}{suffix}".encode())

    async def close(self) -> None:
        """Take no more calls."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _context_of(entries: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """ContextEntries as keys with their values."""
    return {
        str(entry.get("ContextKeyName", "")).lower(): list(entry.get("ContextKeyValues", ()))
        for entry in entries
    }


def _evaluated(rows: Iterable[tuple[str, str, str]], request_id: str) -> str:
    """The answer of SimulatePrincipalPolicy."""
    members = "".join(
        f"<member><EvalActionName>{xml_text(action)}</EvalActionName>"
        f"<EvalResourceName>{xml_text(resource)}</EvalResourceName>"
        f"<EvalDecision>{decision}</EvalDecision><MatchedStatements/><MissingContextValues/>"
        "</member>"
        for action, resource, decision in rows
    )
    name, space = "SimulatePrincipalPolicy", "https://iam.amazonaws.com/doc/2010-05-08/"
    return (
        f'<{name}Response xmlns="{space}"><{name}Result><EvaluationResults>{members}'
        f"</EvaluationResults><IsTruncated>false</IsTruncated></{name}Result>"
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        f"</{name}Response>"
    )


def _without_answer(asked: Asked, error: NotImplementedError) -> AwsError:
    """Moto's word for an operation that it lacks, or for a part of one."""
    if "action has not been implemented" in str(error):
        return not_carried_out(asked.service, asked.operation)
    return _failed(asked, str(error))


def _failed(asked: Asked, why: str) -> AwsError:
    """The refusal of a request that moto cannot carry out; 501, which no client sends again."""
    log.warning("%s %s with these parameters: %s", asked.service, asked.operation, why[:200])
    return AwsError(
        "NotImplemented",
        f"The embedded platform does not carry out {asked.operation} with these parameters "
        f"({why[:200]}).",
        501,
    )


def _served(application: Wsgi, environment: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a WSGI application's answer."""
    started: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], *_: object) -> None:
        started[:] = [status, headers]

    answer = application(environment, start)
    body = b"".join(answer)
    close = getattr(answer, "close", None)
    if close is not None:
        close()
    skipped = ("content-length", "transfer-encoding", "connection", "date", "server")
    headers = {name: value for name, value in started[1] if name.lower() not in skipped}
    return int(started[0].split()[0]), headers, body


def _content_type(call: Call) -> str:
    """What a client would say that says nothing; moto tells protocols apart by it."""
    if call.header("X-Amz-Target") is None:
        return "application/x-www-form-urlencoded"
    return JSON_1_1 if call.claim.service in SERVICES else "application/x-amz-json-1.0"


def wsgi_environment(call: Call) -> dict[str, Any]:
    """The call as WSGI describes it (PEP 3333)."""
    environment: dict[str, Any] = {
        "REQUEST_METHOD": call.request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(call.path).encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": call.query,
        "CONTENT_TYPE": call.header("Content-Type") or _content_type(call),
        "CONTENT_LENGTH": str(len(call.payload)),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(call.payload),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in call.request.headers.items():
        key = "HTTP_" + name.upper().replace("-", "_")
        if key not in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_X_MOTO_ACCOUNT_ID"):
            environment[key] = value
    return environment
