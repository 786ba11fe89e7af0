"""The image that a configuration asks for: what it holds, its reference, what it serves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mmectl import __version__
from mmectl.base import packaged
from mmectl.base.errors import BuildError
from mmectl.base.values import Report
from mmectl.config.loading import Config
from mmectl.config.sources import known_sources
from mmectl.images.platforms import platform_of

if TYPE_CHECKING:
    from mmectl.aws.account import Account
    from mmectl.frameworks.detect import Rest
    from mmectl.images.context import Contents
    from mmectl.images.ecr import Ecr
    from mmectl.images.external import Name
    from mmectl.images.handler import Handler
    from mmectl.images.label import BuiltWith
    from mmectl.images.local_build import BuiltImage
    from mmectl.images.trial import Trial
    from mmectl.images.values import BuildRequest
    from mmectl.registry.metadata_cache import MetadataCache


class Surroundings(Protocol):
    """What the image needs of a command's App, each made when it is first asked for."""

    @property
    def state_dir(self) -> Path:
        """The project's own state."""
        ...

    @property
    def aws(self) -> Account:
        """The account that has the image."""
        ...

    @property
    def metadata_cache(self) -> MetadataCache:
        """What earlier commands read of images."""
        ...

    def ecr(
        self, repository: str, registry_id: str | None = None, region: str | None = None
    ) -> Ecr:
        """A repository of a registry."""
        ...

    def engine_labels(self, image: str) -> Mapping[str, str]:
        """The labels of an image of the Docker engine; none where it has no such image."""
        ...

    def warn(self, text: str) -> None:
        """Say it on stderr."""
        ...


class ServingImage:
    """The image of one configuration. What is asked of it may raise BuildError and ServiceError."""

    def __init__(self, config: Config, around: Surroundings) -> None:
        self._config = config
        self._settings = config.settings
        self._local = config.settings.platform == "local"
        self._around = around

    @cached_property
    def reference(self) -> str:
        """The image to serve: given, or built from the context as it is now; on AWS by digest.

        Raises BuildError when it is not built yet, or cannot serve.
        """
        from mmectl.image import is_built, tried_image
        from mmectl.images import external

        settings = self._settings
        if settings.image.uri and self._local:
            return settings.image.uri
        if settings.image.uri:
            platform = platform_of(settings.endpoint.instance_type)
            return external.pinned(
                settings.image.uri,
                platform,
                self._around.aws.region,
                self._ecr_of,
                self._around.warn,
            )
        if not self._local:
            request = self.request
            repository = self._around.ecr(request.repository)
            return external.of_build(request.reference, repository, self._context)
        known = tried_image if settings.local.runtime == "docker" else is_built
        if not known(self._around.state_dir, self.request.digest):
            raise BuildError(
                f"the image of {self._context}/ is not built",
                hint="mmectl build",
                code="not_built",
            )
        return self.request.reference

    def at_first(self, account: str, region: str) -> tuple[str, bool]:
        """The image, and whether it is built, of an embedded platform that was never started."""
        from mmectl.image import contents_digest, is_built, reference, tried_image
        from mmectl.images.context import context_digest

        settings = self._settings
        if settings.image.uri:
            return settings.image.uri, True
        digest = contents_digest(context_digest(self._config.context), self.contents)
        known = tried_image if settings.local.runtime == "docker" else is_built
        built = bool(known(self._config.state_dir, digest))
        return reference(account, region, settings.image.repository, digest), built

    @property
    def _context(self) -> str:
        return self._config.shown(self._config.context)

    @cached_property
    def request(self) -> BuildRequest:
        """What `mmectl build` has to make of the context as it is now."""
        from mmectl.image import contents_digest, image_digest, owner, reference
        from mmectl.images import index_login
        from mmectl.images.context import context_digest, context_requirements, index_of
        from mmectl.images.values import BuildRequest

        settings = self._settings
        context = self._config.context
        made_of = context_digest(context)
        digest = contents_digest(made_of, self.contents)
        platform = platform_of(settings.endpoint.instance_type)
        if not self._local:
            digest = image_digest(digest, platform, settings.build.base_image)
        account = self._around.aws.identity().account
        return BuildRequest(
            context=context,
            reference=reference(
                account, self._around.aws.region, settings.image.repository, digest
            ),
            digest=digest,
            platform=platform,
            base_image=settings.build.base_image,
            contents=self.contents,
            trial=self.trial,
            owner=owner(self._around.state_dir),
            built_with=f"{__version__} {made_of}",
            netrc=index_login.netrc(
                index_of(context_requirements(context, self.contents), self.contents), os.environ
            ),
        )

    def build_environment(
        self, state_dir: Path, account: str, region: str, report: Report
    ) -> BuiltImage:
        """Make what serves as processes, in that folder, where it is not there.

        `account` and `region` are of its reference. Raises BuildError.
        """
        from mmectl.image import build_local

        image = self._settings.image
        return build_local(
            self._config.context,
            state_dir,
            account=account,
            region=region,
            repository=image.repository,
            contents=self.contents,
            python=image.python,
            trial=self.trial,
            report=report,
        )

    @cached_property
    def contents(self) -> Contents:
        """What the image that is built here holds beside its context."""
        from mmectl.images.context import Contents

        more = self.handler.requirements if self.handler else ()
        wanted = (*self._settings.image.requirements, *more)
        index = self._settings.image.index
        return Contents(self.frameworks, tuple(dict.fromkeys(wanted)), self.handler, index)

    @cached_property
    def handler(self) -> Handler | None:
        """The handler that is built into the image. Raises BuildError where it would not serve."""
        from mmectl.images import handler

        folder = self._settings.image.handler
        if folder is None:
            return None
        return handler.read(self._config.resolve(folder).absolute(), self._config.shown(folder))

    @property
    def handled(self) -> bool:
        """Whether a handler in the image serves models that name no framework."""
        return self._settings.image.handler is not None

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

        chosen = self._settings.image.frameworks
        if chosen is None:
            told = (
                source.framework if self.handled else framework_of(source)
                for source in known_sources(self._config)
            )
            chosen = tuple(name for name in told if name)
        named = {*chosen, *(detect.claiming() if self.handled else ())} - {detect.ANY}
        return tuple(sorted(named)) or DEFAULT_FRAMEWORKS

    @property
    def served(self) -> tuple[str, ...] | None:
        """The frameworks that the endpoint's image serves; None for an image that is not ours."""
        from mmectl.frameworks.detect import ANY
        from mmectl.images.context import Contents, context_requirements

        if self._settings.image.uri:
            return None
        ours = len(context_requirements(self._config.context, Contents(self.frameworks))) > 1
        if not ours:
            return None
        return (*self.frameworks, *([ANY] if self.handled or not self._unchanged else []))

    def serves(self, image: str) -> tuple[str, ...] | None:
        """The frameworks that an image says that it serves; None where nothing is known of it.

        Of an image in ECR that is remembered by its digest. Raises ServiceError.
        """
        from mmectl.images import external, label

        if self._local:
            recorded = label.of_record(self._around.state_dir, image)
            return recorded or label.of_labels(self._around.engine_labels(image))
        name = external.parse(image)
        if name is None:
            return None
        cached = self._around.metadata_cache.get(f"image/{image}", name.digest or "")
        if cached is None:
            ecr = self._around.ecr(name.repository, name.account, name.region)
            platform = platform_of(self._settings.endpoint.instance_type)
            cached = label.of_ecr(ecr, name, platform)
            if cached is not None:
                self._around.metadata_cache.put(f"image/{image}", name.digest or "", list(cached))
        return tuple(cached or ()) or None

    def outgrown(self, image: str) -> str | None:
        """That an image which serves was made of another container than this mmectl's own.

        None where it was not, the project has a context of its own, or nobody knows. Raises
        ServiceError.
        """
        from mmectl.images.context import context_digest

        own = packaged.container()
        if self._settings.image.uri or self._config.context != own:
            return None
        before = self._built_with(image)
        if before is None or before.context == context_digest(own):
            return None
        return (
            f"the container of mmectl {__version__} differs from that of the image that serves, "
            f"built with mmectl {before.version}"
        )

    def _built_with(self, image: str) -> BuiltWith | None:
        from mmectl.images import external, label

        if self._local:
            recorded = label.built_with_of_record(self._around.state_dir, image)
            return recorded or label.built_with_of_labels(self._around.engine_labels(image))
        name = external.parse(image)
        if name is None:
            return None
        ecr = self._around.ecr(name.repository, name.account, name.region)
        platform = platform_of(self._settings.endpoint.instance_type)
        return label.built_with_of_labels(label.labels_of_ecr(ecr, name, platform) or {})

    @property
    def _unchanged(self) -> bool:
        """Whether the image's context is mmectl's own, as it is."""
        from mmectl.images.context import context_digest

        context, own = self._config.context, packaged.container()
        return context == own or context_digest(context) == context_digest(own)

    @property
    def trial(self) -> Trial:
        """How far an image is tried when it is built, and with what."""
        from mmectl.frameworks import detect
        from mmectl.images.trial import Trial

        build = self._settings.build
        model, body = (
            self._config.resolve(path).absolute() if path else None
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

    @property
    def kept_in(self) -> Ecr | None:
        """The repository where a rule expires images that nobody serves; None: it is not ours."""
        if self._local or self._settings.image.uri:
            return None
        return self._around.ecr(self._settings.image.repository)

    def _ecr_of(self, name: Name) -> Ecr:
        return self._around.ecr(name.repository, name.account)
