"""`Platform`: an embedded platform for tests, with models behind an endpoint."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmectl.testing.answers import Endpoint
from mmectl.testing.faults import Faults
from mmectl.testing.runs import Run, remove
from mmectl.testing.surroundings import environment

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.local.client.platform import Connection

_FAULTS = "/-/faults"


class Platform:
    """An embedded platform of its own: own folder, own port, own keys, nothing of the project's.

        with Platform("config.yaml") as platform:
            endpoint = platform.deploy()
            answer = endpoint.invoke("shapes", Path("star.jpg"))

    It ends with the `with`, and with this process, however that ends. All that is wrong raises
    `MmectlError`, whose `hint` says what to do.
    """

    def __init__(
        self,
        config: str | Path | None = None,
        *,
        models: Mapping[str, str | Path] | None = None,
        settings: Mapping[str, Any] | None = None,
        env: str | None = None,
        bad_day: int | None = None,
        cache: str | Path | None = None,
        run: Run | None = None,
        apart: bool = False,
    ) -> None:
        """What it is to serve; nothing is started yet.

        `config` is a config.yaml, None: every setting has its default. `models` are folders by
        model name, in place of the configuration's. `settings` are further values by dotted key,
        such as ``{"local.memory_mb": 200}``; without ``endpoint.instance_count`` an endpoint of
        one variant that is not scaled has one instance. `env` is one of the configuration's
        environments, None: that of MMECTL_ENV. `bad_day` is the seed of faults of the whole
        platform. `cache` is the folder that keeps the serving environment from one run to the next,
        None: the configuration's ``local.state_dir``. `run` is the test run that it belongs to,
        whose processes share it, unless it is to be `apart`.
        """
        self._config = None if config is None else Path(config).absolute()
        self._models = models and {name: str(Path(p).absolute()) for name, p in models.items()}
        self._given = dict(settings or {})
        self._env, self._bad_day = env or os.environ.get("MMECTL_ENV") or None, bad_day
        self._cache = None if cache is None else Path(cache).absolute()
        self._own = run is None
        self._run, self._apart = run or Run.begin(), apart
        self._connection: Connection | None = None

    def __enter__(self) -> Platform:  # noqa: PYI034 - Self is of Python 3.11
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> Platform:
        """Start it, where it does not run yet. Raises MmectlError."""
        from mmectl.base.files import locked
        from mmectl.local.record import Hosting

        hosting = Hosting(owner=self._run.owner, disposable=True)
        with locked(self.folder / "run.lock"):
            self._connection = self._app().connection(self._bad_day, hosting)
        return self

    def close(self) -> None:
        """Stop it and remove its folder, unless a run of several processes has it."""
        self._connection = None
        if self._own:
            remove(self.folder)

    @cached_property
    def folder(self) -> Path:
        """Where it keeps its state; the log is ``local/platform.log`` in it."""
        number = self._run.number if self._apart else 0
        wanted = (str(self._config), self._models, self._given, self._env, self._bad_day, number)
        digest = hashlib.sha256(json.dumps(wanted, default=str).encode()).hexdigest()
        return self._run.folder(digest[:8])

    @property
    def endpoint_url(self) -> str:
        """Its address, ``http://127.0.0.1:PORT``."""
        return self._running.endpoint_url

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point an AWS client at it: address, region and keys."""
        return self._running.variables

    def environ(self) -> AbstractContextManager[None]:
        """A context in which the environment of this process points AWS clients at it."""
        return environment(self.environment)

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client, as ``boto3.client(service, **options)``."""
        from mmectl.aws import plain

        to = self._running
        return plain.client(
            service,
            region=to.region,
            endpoint_url=to.endpoint_url,
            credentials=to.credentials,
            **options,
        )

    def mmectl(self, *arguments: str) -> Any:
        """Run a command against it, such as ``("upload", "./cat")``; its data as `--json` prints.

        Raises MmectlError with the command's own text, hint and code.
        """
        from mmectl.testing.inside import data_of

        self._running  # noqa: B018 - raises where it was not started
        words = [word for item in self._flags().items() for word in ("--set", "=".join(item))]
        if self._env is not None:
            words += ["--env", self._env]
        return data_of([*arguments, "--config", str(self._config_file), *words])

    def deploy(self) -> Endpoint:
        """Build what serves, upload the models, deploy the endpoint, as far as anything changed.

        What another process of the run has deployed, and serves, is taken as it is. Raises
        MmectlError.
        """
        from mmectl.base.files import locked, read_json, write_json

        done = self.folder / "endpoint.json"
        with locked(self.folder / "run.lock"):
            found = None if self._own else read_json(done)
            if found is None or not self._serves(found["name"]):
                found = self._deployed()
                write_json(done, found)
        return Endpoint(**found, client=self._kept_client)

    def _serves(self, endpoint: str) -> bool:
        from mmectl.local.client import platform

        rows = (platform.status(self.folder) or {}).get("endpoints", ())
        return any(row["name"] == endpoint and row["status"] == "InService" for row in rows)

    @cached_property
    def faults(self) -> Faults:
        """Faults for requests with its keys."""
        return Faults(self._send)

    def _send(self, method: str, value: Any) -> Any:
        from mmectl.local.client import platform

        return platform.send(self.folder, self._running.credentials, method, _FAULTS, value)

    def _kept_client(self, service: str) -> Any:
        """One client of each service for all calls."""
        if service not in self._clients:
            self._clients[service] = self.client(service)
        return self._clients[service]

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    @property
    def _running(self) -> Connection:
        """Where it is, with the keys of this process. Raises PlatformError."""
        from mmectl.base.errors import PlatformError
        from mmectl.local.auth.derived_keys import MOST, derived

        if self._connection is None:
            raise PlatformError("the platform under test was not started", code="not_running")
        keys = derived(self._connection.credentials, self._run.number % MOST)
        return replace(self._connection, credentials=keys)

    @cached_property
    def _config_file(self) -> Path:
        """The configuration; an empty one where there is none."""
        if self._config is not None:
            return self._config
        empty = self.folder / "config.yaml"
        empty.touch()
        return empty

    def _flags(self) -> dict[str, str]:
        """The settings of every command, as `--set` takes them."""
        own: dict[str, Any] = {"platform": "local", "local.state_dir": str(self.folder)}
        if self._models is not None:
            own["models"] = [{"name": n, "path": path} for n, path in self._models.items()]
        return {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in {"local.port": 0, **self._few, **self._given, **own}.items()
        }

    @cached_property
    def _few(self) -> dict[str, Any]:
        """One instance is enough, where nothing says which number is right."""
        settings = self._project.config.settings
        plain = not settings.endpoint.variants and settings.autoscaling.as_values() is None
        return {"endpoint.instance_count": 1} if plain else {}

    @cached_property
    def _project(self) -> App:
        """The configuration as the project has it, with its own state."""
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in self._given.items()}
        return self._app_of({**texts, "platform": "local"})

    def _app(self) -> App:
        return self._app_of(self._flags())

    def _app_of(self, flags: dict[str, str]) -> App:
        from mmectl.app import App
        from mmectl.console.output import Mode, Output

        mode = Mode(json=True, quiet=True)
        return App(Output(mode), self._config_file, flags, environment=self._env)

    def _deployed(self) -> dict[str, Any]:
        """Build, upload, deploy; the values of an `Endpoint`."""
        self._build()
        app = self._app()
        uploaded = self.mmectl("upload", "--all") if app.config.settings.models else None
        made = self.mmectl("deploy")
        sent = uploaded["models"] if uploaded else []
        return {
            "name": made["endpoint"],
            "config": made["config"],
            "bucket": app.location.bucket,
            "prefix": app.location.prefix,
            "models": {one["name"]: one["target_models"][0] for one in sent},
        }

    def _build(self) -> None:
        """Have the serving environment in the cache, and what is registered there seen here."""
        from mmectl.app import LOCAL_REGION
        from mmectl.local.values import ACCOUNT

        app = self._app()
        if app.config.settings.image.uri is not None:
            return
        if app.config.settings.local.runtime == "docker":
            self.mmectl("build")
            return
        with app.out.progress() as report:
            app.image.build_environment(self._kept, ACCOUNT, app.region or LOCAL_REGION, report)
        images = self.folder / "images"
        if not images.is_symlink():
            images.symlink_to(self._kept / "images")

    @property
    def _kept(self) -> Path:
        """The folder that keeps the serving environment."""
        if self._cache is not None:
            return self._cache
        return self._project.config.state_dir if self._config else Path.cwd() / ".mmectl"
