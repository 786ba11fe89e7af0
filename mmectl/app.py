"""The composition root: creates what a command needs, when it is first used."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmectl.base.errors import ConfigError, PlatformError
from mmectl.base.values import Location
from mmectl.config import project
from mmectl.config.loading import Config, load, load_each, state_dir_in_need
from mmectl.console.options import colour_wanted, flags_of
from mmectl.console.output import Mode, Output

if TYPE_CHECKING:
    from mmectl.aws.account import Account
    from mmectl.deploy.wait import Timing
    from mmectl.deploy.watching import Watched, Watcher
    from mmectl.images.ecr import Ecr
    from mmectl.invoke import Runtime
    from mmectl.local.client.platform import Connection
    from mmectl.local.record import Budgets, Hosting
    from mmectl.planning.control_plane import ControlPlane
    from mmectl.registry.inventory import Inventory
    from mmectl.registry.metadata_cache import MetadataCache
    from mmectl.registry.store import ModelBucket
    from mmectl.registry.upload_cache import UploadCache
    from mmectl.serving_image import ServingImage
    from mmectl.spec.desired import Desired

LOCAL_REGION = "us-east-1"


class App:
    """Configuration, output and services of one command.

    `begins`: the command may start the embedded platform where none was ever started. `anywhere`:
    it needs no project. `pause`
    waits for some seconds, of which `clock` tells how many went by; both for what AWS takes.
    """

    clock: Callable[[], float] = staticmethod(time.monotonic)
    pause: Callable[[float], None] = staticmethod(time.sleep)

    def __init__(
        self,
        out: Output,
        config_file: Path | None = None,
        flags: dict[str, str] | None = None,
        *,
        environment: str | None = None,
        begins: bool = True,
        anywhere: bool = False,
    ) -> None:
        self.out = out
        self._environment = environment
        self._config_file = config_file
        self._flags = flags or {}
        self._begins = begins
        self._anywhere = anywhere

    @classmethod
    def of_options(cls, options: dict[str, Any], *, begins: bool, anywhere: bool = False) -> App:
        """Take the options that every command has out of `options`."""
        mode = Mode(
            json=options.pop("as_json") | (lines := options.pop("json_lines")),
            lines=lines,
            quiet=options.pop("quiet"),
            verbose=options.pop("verbose"),
            color=colour_wanted(),
        )
        flags = flags_of(options.pop("settings"), options.pop("platform"))
        return cls(
            Output(mode),
            options.pop("config_file"),
            flags,
            environment=options.pop("environment"),
            begins=begins,
            anywhere=anywhere,
        )

    @property
    def words(self) -> list[str]:
        """The options that give another command the same configuration."""
        file = ["--config", str(self.config.path)] if self.config.path else []
        chosen = ["--env", self._environment] if self._environment else []
        return [*file, *chosen, *(w for i in self._flags.items() for w in ("--set", "=".join(i)))]

    def elsewhere(self, environment: str | None) -> App:
        """The same call in another environment of the configuration."""
        return type(self)(
            self.out,
            self._config_file or self.config.path,
            self._flags,
            environment=environment,
            begins=self._begins,
            anywhere=self._anywhere,
        )

    def beside(self, kind: type[App], out: Output, *, begins: bool) -> App:
        """The same project for another command, as an App of that kind that prints to `out`."""
        return kind(
            out, self._config_file, self._flags, environment=self._environment, begins=begins
        )

    @property
    def options(self) -> list[str]:
        """The options that lead another command to the same project."""
        options = ["--config", str(self._config_file)] if self._config_file else []
        options += ["--env", self._environment] if self._environment else []
        for key, value in self._flags.items():
            options += ["--set", f"{key}={value}"]
        return options

    @cached_property
    def config(self) -> Config:
        """The valid configuration. Raises ConfigError; NoProject where there is no file."""
        path, doubtful = self._file
        self._warn_of_variables()
        try:
            return load(path, flags=self._flags, chosen=self._environment, here=self._here(path))
        except ConfigError as error:
            error.hint = project.DOUBT if doubtful else error.hint
            raise

    def _warn_of_variables(self) -> None:
        """Say which variables were misspelled: what they were to give is not given."""
        from mmectl.config.own_variables import misspelled

        for text in misspelled(os.environ):
            self.out.once(text, warning=True)

    def _here(self, path: Path | None) -> Path | None:
        """Where relative paths of flags are meant from; None: the project's folder is the place."""
        here = project.current()
        return here if path is not None and path.absolute().parent != here else None

    @cached_property
    def _file(self) -> tuple[Path | None, bool]:
        """The project's file, and whether it may be another program's.

        Said where it is not in the current folder, but for one that was typed. Raises NoProject.
        """
        named = self._config_file
        if named is not None:
            by_variable = str(named) == os.environ.get(project.VARIABLE)
            if by_variable and not os.path.lexists(named):
                raise project.gone(named)
            if by_variable and named.absolute().parent != project.current():
                self._say(f"using {named} ({project.VARIABLE})")
            return named, False
        found = project.find(project.current())
        if found.path is None:
            self._require_name(found)
            self.out.once(f"{found.none}: every setting has its default")
        elif found.above:
            self._say(f"using {found.path}{found.passed_by}")
        return found.path, found.doubtful

    def _require_name(self, found: project.Found) -> None:
        """Raise NoProject, unless the command needs none, or its endpoint is named all the same."""
        named = "endpoint.name" in self._flags or "MMECTL_ENDPOINT_NAME" in os.environ
        if not (named or self._anywhere):
            raise found.missing()

    def _say(self, text: str) -> None:
        if not self.out.mode.json:
            self.out.once(text)

    @property
    def config_path(self) -> Path | None:
        """The file that the configuration is of, valid or not; None where there is none."""
        try:
            return self._file[0]
        except ConfigError:
            return None

    @cached_property
    def platform_dir(self) -> Path:
        """The folder of the embedded platform, for commands that need no other key.

        Whatever is wrong with the file, which is said. Raises ConfigError where it may be several.
        """
        try:
            return self.config.state_dir
        except ConfigError as error:
            path = self._file[0]
            found = state_dir_in_need(
                path, flags=self._flags, chosen=self._environment, here=self._here(path)
            )
            if found is None:
                error.hint = "name the folder: the same command with --set local.state_dir=FOLDER"
                raise
            self.warn(f"{error.problems[0]}\nlocal.state_dir is taken as {found}")
            return found

    def environments(self) -> dict[str, Config]:
        """The configuration in each of its environments, without what is of unset variables.

        Raises ConfigError with the problems of all. A pipe cannot be read again: then none.
        """
        return load_each(self.config, self._flags, self._here(self.config.path))

    @property
    def local(self) -> bool:
        """Whether commands run on the embedded platform."""
        return self.config.settings.platform == "local"

    @property
    def region(self) -> str | None:
        """The configured region; None: that of the environment or the profile, on AWS."""
        wanted = self.config.settings.aws.region
        return wanted or (LOCAL_REGION if self.local else None)

    @property
    def untouched(self) -> bool:
        """Whether this is about the embedded platform, and none was ever started here."""
        if not self.local:
            return False
        from mmectl.local.client import platform

        return not platform.began(self.config.state_dir)

    def _require_something(self) -> None:
        """Raise PlatformError where a command that only looks would begin something."""
        if not self._begins and self.untouched:
            raise PlatformError(
                f"nothing was deployed from here: {self.config.state_dir} has no local platform",
                hint="mmectl build, mmectl upload --all, mmectl deploy",
                code="no_platform",
            )

    @cached_property
    def state_dir(self) -> Path:
        """The project's own state, a folder that nobody else can read."""
        self._require_something()
        folder = self.config.state_dir
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                (f"local.state_dir: {folder} cannot be created: {error.strerror}",),
                hint="set local.state_dir to a folder that you may write",
                code="state_dir",
            ) from None
        return folder

    @property
    def budgets(self) -> Budgets:
        """What models may take on an instance of the embedded platform."""
        from mmectl.local.record import Budgets

        local = self.config.settings.local
        return Budgets(local.memory_mb, local.disk_mb)

    def connection(self, bad_day: int | None = None, hosting: Hosting | None = None) -> Connection:
        """The embedded platform of this project, started where it does not run.

        `bad_day` is the seed of its faults, `hosting` with whom it ends and who reaches it. Raises
        PlatformError.
        """
        from mmectl.local.client import platform

        local = self.config.settings.local
        return platform.start(
            self.state_dir,
            region=self.region or LOCAL_REGION,
            port=local.port,
            runtime=local.runtime,
            budgets=self.budgets,
            scaling_period=local.scaling_period,
            bad_day=bad_day,
            hosting=hosting,
        )

    @cached_property
    def aws(self) -> Account:
        """A session: with the account, or with the embedded platform, started on demand."""
        from mmectl.aws.session import Aws, Storage

        settings = self.config.settings
        storage = Storage(settings.bucket.name, settings.bucket.kms_key, settings.aws.tags)
        if not self.local:
            return Aws(region=self.region, profile=settings.aws.profile, storage=storage)
        self._require_something()
        connection = self.connection()
        return Aws(
            region=connection.region,
            endpoint_url=connection.endpoint_url,
            credentials=connection.credentials,
            storage=storage,
        )

    @cached_property
    def watcher(self) -> Watcher:
        """CloudWatch's alarms, dashboards and logs."""
        from mmectl.aws.watching import Watching

        return Watching(self.aws)

    def watched(self) -> Watched:
        """What is to watch the endpoint."""
        from mmectl.config.specification import watched

        region = self.first_place[1] if self.untouched else self.aws.region
        return watched(self.config.settings, region)

    @cached_property
    def sagemaker(self) -> ControlPlane:
        """The control plane."""
        from mmectl.aws.sagemaker import Sagemaker

        return Sagemaker(self.aws)

    def timing(self, timeout: float) -> Timing:
        """How to wait for endpoints, for `timeout` seconds at most."""
        from mmectl.deploy.wait import Timing

        return Timing(timeout=timeout, clock=self.clock, sleep=self.pause)

    def runtime(self, patience: float) -> Runtime:
        """The data plane; one answer of the endpoint may take `patience` seconds."""
        from mmectl.aws.sagemaker import Runtime

        return Runtime(self.aws, patience)

    @cached_property
    def location(self) -> Location:
        """Bucket and prefix of the models."""
        if self.untouched and not self._begins:
            from mmectl.local.values import ACCOUNT

            usual = f"sagemaker-{self.region}-{ACCOUNT}"
            return Location(self.config.settings.bucket.name or usual, self.config.prefix)
        return Location(self.aws.bucket_name(self.config.settings.bucket.name), self.config.prefix)

    @cached_property
    def bucket(self) -> ModelBucket:
        """The models' bucket, with errors in our words."""
        return self.bucket_of(self.location.bucket)

    def bucket_of(self, name: str) -> ModelBucket:
        """Any bucket that these credentials may read."""
        from mmectl.aws.errors import translated
        from mmectl.aws.s3 import S3Bucket

        key = self.config.settings.bucket.kms_key if name == self.location.bucket else None
        client = self.aws.client("s3")
        return S3Bucket(client, name, translated, self.upload_cache, kms_key=key)

    @cached_property
    def upload_cache(self) -> UploadCache:
        """What was uploaded and begun from here."""
        from mmectl.registry.upload_cache import UploadCache

        return UploadCache(self.state_dir / "cache" / "uploads.json")

    @cached_property
    def inventory(self) -> Inventory:
        """The models of the location with their versions."""
        from mmectl.registry.inventory import Inventory

        return Inventory(self.bucket, self.location, self.metadata_cache)

    @cached_property
    def metadata_cache(self) -> MetadataCache:
        """What earlier commands read of objects and images."""
        from mmectl.registry.metadata_cache import MetadataCache

        return MetadataCache(self.config.state_dir / "cache" / "objects.json")

    def remember(self, command: str) -> None:
        """Keep what was listed, for completion; a home that cannot be written loses nothing."""
        from mmectl.completion import known

        found: Inventory | None = self.__dict__.get("inventory")
        models = found.seen if found else None
        if type(self) is not App or (models is None and command not in known.CHANGES):
            return
        about = known.project(
            str(self._config_file) if self._config_file else None,
            self._environment,
            self._flags.get("platform"),
        )
        with suppress(OSError):
            if command in known.CHANGES:
                known.outdated(about)
            elif models is not None:
                known.remember(
                    about, {one.name: [item.version for item in one.versions] for one in models}
                )

    @property
    def endpoint_name(self) -> str:
        """The endpoint's name."""
        return self.config.settings.endpoint.name

    def embedded_endpoint(self) -> Mapping[str, Any] | None:
        """What the embedded platform tells of the endpoint; None on AWS or where it is unknown."""
        if not self.local:
            return None
        from mmectl.local.client import platform

        for row in (platform.status(self.config.state_dir) or {}).get("endpoints", ()):
            if row["name"] == self.endpoint_name:
                found: Mapping[str, Any] = row
                return found
        return None

    def ecr(
        self, repository: str, registry_id: str | None = None, region: str | None = None
    ) -> Ecr:
        """A repository of the account's registry, or of another account's or region's."""
        from mmectl.aws.errors import translated
        from mmectl.images.ecr import Ecr

        client = self.aws.client("ecr", region=region)
        return Ecr(client, translated, repository, registry_id=registry_id)

    def warn(self, text: str) -> None:
        """Say it on stderr; work goes on."""
        self.out.note(text, warning=True)

    @property
    def allows_code(self) -> bool:
        """Whether the configuration lets the endpoint run the code of its models."""
        from mmectl.frameworks.custom.model_files import allowed

        return allowed(self.config.settings.endpoint.environment)

    @property
    def advice(self) -> list[str]:
        """What of the configuration deserves a second look."""
        from mmectl.config.advice import advice

        return advice(self.config.settings)

    @cached_property
    def image(self) -> ServingImage:
        """The image that serves."""
        from mmectl.serving_image import ServingImage

        return ServingImage(self.config, self)

    def engine_labels(self, image: str) -> Mapping[str, str]:
        """The labels of an image of the Docker engine, where instances may be containers."""
        from mmectl.local.instance.docker_cli import Engine, EngineError

        if self.config.settings.local.runtime == "process":
            return {}
        try:
            found = Engine(os.environ).image(image)
        except EngineError:
            return {}
        return found.labels if found else {}

    @property
    def first_place(self) -> tuple[str, str]:
        """Account and region of an embedded platform that was never started."""
        from mmectl.local.values import ACCOUNT

        return ACCOUNT, self.region or LOCAL_REGION

    def desired(self, image: str | None = None) -> Desired:
        """What the configuration asks for, as requests to SageMaker.

        `image` is the one to serve; None: the one that is built.
        """
        from mmectl.config.checks import accelerators
        from mmectl.config.specification import specification
        from mmectl.planning.serving import serving_role
        from mmectl.spec.desired import desired

        settings = self.config.settings
        for note in accelerators.notes(settings):
            self.warn(note)
        if self.untouched:
            role = _first_role(settings.aws.role)
        else:
            wanted = settings.aws.role or serving_role(self.sagemaker, self.endpoint_name)
            role = self.aws.role(wanted)
        image = image or self.image.reference
        return desired(specification(settings, image=image, models=self.location.url, role=role))


def _first_role(wanted: str | None) -> str:
    """The role on an embedded platform that was never started."""
    from mmectl.local.values import ACCOUNT, ROLE

    if wanted and wanted.startswith("arn:"):
        return wanted
    return f"arn:aws:iam::{ACCOUNT}:role/{wanted or ROLE}"
