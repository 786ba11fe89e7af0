"""The composition root: creates what a command needs, when it is first used."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmectl.base.errors import BuildError, ConfigError, PlatformError
from mmectl.base.values import Location
from mmectl.config import accelerators
from mmectl.config.loading import Config, load
from mmectl.config.specification import specification
from mmectl.console.options import colour_wanted, flags_of
from mmectl.console.output import Mode, Output
from mmectl.endpoint import Desired, desired, serving_role
from mmectl.images.platforms import platform_of

if TYPE_CHECKING:
    from mmectl.aws.account import Account
    from mmectl.deploy.wait import Timing
    from mmectl.deploy.watching import Watched, Watcher
    from mmectl.endpoint import ControlPlane
    from mmectl.frameworks.detect import Rest
    from mmectl.images.context import Contents
    from mmectl.images.ecr import Ecr
    from mmectl.images.external import Name
    from mmectl.images.handler import Handler
    from mmectl.images.trial import Trial
    from mmectl.images.values import BuildRequest
    from mmectl.invoke import Runtime
    from mmectl.local.record import Budgets
    from mmectl.registry.inventory import Inventory
    from mmectl.registry.metadata_cache import MetadataCache
    from mmectl.registry.store import ModelBucket
    from mmectl.registry.upload_cache import UploadCache
    from mmectl.sources.origin import Source

LOCAL_REGION = "us-east-1"


class App:
    """Configuration, output and services of one command.

    `begins`: the command may start the embedded platform where none was ever started. `pause`
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
    ) -> None:
        self.out = out
        self._environment = environment
        self._config_file = config_file
        self._flags = flags or {}
        self._begins = begins

    @classmethod
    def of_options(cls, options: dict[str, Any], *, begins: bool) -> App:
        """Take the options that every command has out of `options`."""
        mode = Mode(
            json=options.pop("as_json"),
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
        )

    def elsewhere(self, environment: str | None) -> App:
        """The same call in another environment of the configuration."""
        return type(self)(
            self.out, self._config_file, self._flags, environment=environment, begins=self._begins
        )

    @cached_property
    def config(self) -> Config:
        """The valid configuration. Raises ConfigError."""
        found = load(self._config_file, flags=self._flags, chosen=self._environment)
        if found.path is None:
            self.out.note(
                f"no config.yaml in {Path.cwd()}: every setting has its default; name another "
                "one with --config"
            )
        return found

    def environments(self) -> dict[str, Config]:
        """The configuration in each of its environments, without what is of unset variables.

        Raises ConfigError with the problems of all. A pipe cannot be read again: then none.
        """
        found: dict[str, Config] = {}
        problems: dict[str, None] = {}
        again = self.config.path is not None and self.config.path.is_file()
        for name in self.config.environments if again else ():
            try:
                found[name] = load(
                    self._config_file, flags=self._flags, chosen=name, leave_out=True
                )
            except ConfigError as error:
                problems |= dict.fromkeys(error.problems)
        if problems:
            raise ConfigError(tuple(problems), hint="look at one of them: mmectl config show --env")
        return found

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
        from mmectl.local import record

        return self.local and not record.path(self.config.state_dir).exists()

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
            ) from None
        return folder

    @property
    def budgets(self) -> Budgets:
        """What models may take on an instance of the embedded platform."""
        from mmectl.local.record import Budgets

        local = self.config.settings.local
        return Budgets(local.memory_mb, local.disk_mb)

    @cached_property
    def aws(self) -> Account:
        """A session: with the account, or with the embedded platform, started on demand."""
        from mmectl.aws.session import Aws, Storage

        settings = self.config.settings
        storage = Storage(settings.bucket.name, settings.bucket.kms_key, settings.aws.tags)
        if not self.local:
            return Aws(region=self.region, profile=settings.aws.profile, storage=storage)
        from mmectl.local.client import platform

        self._require_something()
        connection = platform.start(
            self.state_dir,
            region=self.region or LOCAL_REGION,
            port=settings.local.port,
            runtime=settings.local.runtime,
            budgets=self.budgets,
            scaling_period=self.config.settings.local.scaling_period,
        )
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

        return watched(self.config.settings, self.aws.region)

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

    @cached_property
    def image(self) -> str:
        """The image to serve: given, or built from the context as it is now; on AWS by digest.

        Raises BuildError when it is not built yet, or cannot serve.
        """
        from mmectl.image import is_built, tried_image
        from mmectl.images import external

        settings = self.config.settings
        if settings.image.uri and self.local:
            return settings.image.uri
        if settings.image.uri:
            platform = platform_of(settings.endpoint.instance_type)
            return external.pinned(
                settings.image.uri, platform, self.aws.region, self._ecr_of, self.warn
            )
        if not self.local:
            request = self.build_request
            return external.of_build(request.reference, self.ecr(request.repository), self._context)
        known = tried_image if settings.local.runtime == "docker" else is_built
        if not known(self.state_dir, self.build_request.digest):
            raise BuildError(
                f"the image of {self._context}/ is not built",
                hint="mmectl build",
                code="not_built",
            )
        return self.build_request.reference

    @property
    def _context(self) -> str:
        return self.config.shown(self.config.context)

    @cached_property
    def build_request(self) -> BuildRequest:
        """What `mmectl build` has to make of the context as it is now."""
        from mmectl.image import contents_digest, image_digest, owner, reference
        from mmectl.images import index_login
        from mmectl.images.context import context_digest, context_requirements, index_of
        from mmectl.images.values import BuildRequest

        settings = self.config.settings
        context = self.config.context
        digest = contents_digest(context_digest(context), self.contents)
        platform = platform_of(settings.endpoint.instance_type)
        if not self.local:
            digest = image_digest(digest, platform, settings.build.base_image)
        account = self.aws.identity().account
        return BuildRequest(
            context=context,
            reference=reference(account, self.aws.region, settings.image.repository, digest),
            digest=digest,
            platform=platform,
            base_image=settings.build.base_image,
            contents=self.contents,
            trial=self.trial,
            owner=owner(self.state_dir),
            netrc=index_login.netrc(
                index_of(context_requirements(context, self.contents), self.contents), os.environ
            ),
        )

    @cached_property
    def contents(self) -> Contents:
        """What the image that is built here holds beside its context."""
        from mmectl.images.context import Contents

        more = self.handler.requirements if self.handler else ()
        wanted = (*self.config.settings.image.requirements, *more)
        index = self.config.settings.image.index
        return Contents(self.frameworks, tuple(dict.fromkeys(wanted)), self.handler, index)

    @cached_property
    def handler(self) -> Handler | None:
        """The handler that is built into the image. Raises BuildError where it would not serve."""
        from mmectl.images import handler

        folder = self.config.settings.image.handler
        if folder is None:
            return None
        return handler.read(self.config.resolve(folder).absolute(), self.config.shown(folder))

    @property
    def handled(self) -> bool:
        """Whether a handler in the image serves models that name no framework."""
        return self.config.settings.image.handler is not None

    @property
    def rest(self) -> Rest:
        """Which models that name no framework the image serves all the same."""
        from mmectl.frameworks.detect import Rest

        if self.handled:
            return Rest.ALL
        return Rest.UNKNOWN if self.served is None else Rest.NONE

    @cached_property
    def frameworks(self) -> tuple[str, ...]:
        """The frameworks that the image serves that is built here, by name."""
        from mmectl.frameworks import detect
        from mmectl.images.context import DEFAULT_FRAMEWORKS
        from mmectl.sources.frameworks import framework_of

        chosen = self.config.settings.image.frameworks
        if chosen is None:
            told = (
                source.framework if self.handled else framework_of(source)
                for source in self.known_sources
            )
            chosen = tuple(name for name in told if name)
        named = {*chosen, *(detect.claiming() if self.handled else ())} - {detect.ANY}
        return tuple(sorted(named)) or DEFAULT_FRAMEWORKS

    @property
    def served(self) -> tuple[str, ...] | None:
        """The frameworks that the endpoint's image serves; None for an image that is not ours."""
        from mmectl.frameworks.detect import ANY
        from mmectl.images.context import Contents, context_requirements

        if self.config.settings.image.uri:
            return None
        ours = len(context_requirements(self.config.context, Contents(self.frameworks))) > 1
        if not ours:
            return None
        return (*self.frameworks, *([ANY] if self.handled or not self._unchanged else []))

    def serves(self, image: str) -> tuple[str, ...] | None:
        """The frameworks that an image says that it serves; None where nothing is known of it.

        Of an image in ECR that is remembered by its digest. Raises ServiceError.
        """
        from mmectl.images import external, label

        if self.local:
            return label.of_record(self.state_dir, image) or self._engine_serves(image)
        name = external.parse(image)
        if name is None:
            return None
        cached = self.metadata_cache.get(f"image/{image}", name.digest or "")
        if cached is None:
            ecr = self.ecr(name.repository, name.account, name.region)
            platform = platform_of(self.config.settings.endpoint.instance_type)
            cached = label.of_ecr(ecr, name, platform)
            if cached is not None:
                self.metadata_cache.put(f"image/{image}", name.digest or "", list(cached))
        return tuple(cached or ()) or None

    def _engine_serves(self, image: str) -> tuple[str, ...] | None:
        """What an image of the Docker engine says, where instances may be containers."""
        import os

        from mmectl.images import label
        from mmectl.local.instance.docker_cli import Engine, EngineError

        if self.config.settings.local.runtime == "process":
            return None
        try:
            found = Engine(os.environ).image(image)
        except EngineError:
            return None
        return label.of_labels(found.labels) if found else None

    @property
    def _unchanged(self) -> bool:
        """Whether the image's context is mmectl's own, as it is."""
        from mmectl.base import packaged
        from mmectl.images.context import context_digest

        context, own = self.config.context, packaged.container()
        return context == own or context_digest(context) == context_digest(own)

    @cached_property
    def known_sources(self) -> tuple[Source, ...]:
        """The models of config.yaml."""
        from mmectl.sources import origin

        return tuple(
            origin.Source(
                item.name,
                self.config.resolve(item.path) if item.path else None,
                item.zoo,
                framework=item.framework,
            )
            if item.source is None
            else dataclasses.replace(
                origin.parse(item.name, item.source, item.sha256, self.config.resolve(Path())),
                framework=item.framework,
            )
            for item in self.config.settings.models
        )

    @property
    def trial(self) -> Trial:
        """How far an image is tried when it is built, and with what."""
        from mmectl.frameworks import detect
        from mmectl.images.trial import Trial

        build = self.config.settings.build
        model, body = (
            self.config.resolve(path).absolute() if path else None
            for path in (build.smoke_model, build.smoke_body)
        )
        # with a handler every model is the handler's, but for its own trial
        tried = detect.claiming() if self.handled else self.frameworks
        return Trial(
            build.smoke_test,
            model,
            body,
            build.smoke_content_type,
            build.smoke_accept,
            build.smoke_expect,
            tried,
        )

    def ecr(
        self, repository: str, registry_id: str | None = None, region: str | None = None
    ) -> Ecr:
        """A repository of the account's registry, or of another account's or region's."""
        from mmectl.aws.errors import translated
        from mmectl.images.ecr import Ecr

        client = self.aws.client("ecr", region=region)
        return Ecr(client, translated, repository, registry_id=registry_id)

    @property
    def kept_images(self) -> Ecr | None:
        """The repository where a rule expires images that nobody serves; None: it is not ours."""
        if self.local or self.config.settings.image.uri:
            return None
        return self.ecr(self.config.settings.image.repository)

    def warn(self, text: str) -> None:
        """Say it on stderr; work goes on."""
        self.out.note(f"warning: {text}")

    @property
    def advice(self) -> list[str]:
        """What of the configuration deserves a second look."""
        from mmectl.config.advice import advice

        return advice(self.config.settings)

    def _ecr_of(self, name: Name) -> Ecr:
        return self.ecr(name.repository, name.account)

    def desired(self) -> Desired:
        """What the configuration asks for, as requests to SageMaker."""
        settings = self.config.settings
        for note in accelerators.notes(settings):
            self.warn(note)
        wanted = settings.aws.role or serving_role(self.sagemaker, self.endpoint_name)
        role = self.aws.role(wanted)
        return desired(
            specification(settings, image=self.image, models=self.location.url, role=role)
        )
