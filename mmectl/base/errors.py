"""The error tree. Every expected failure is an `MmectlError`; anything else is a bug.

`message` reads ``what happened: why``; `hint` is what to do next, a command wherever one
helps; `exit_code` is what the process returns: 1 failed, 2 usage or configuration, 130 interrupted.

`code` is the stable name of one kind of failure: codes.py lists them all, `mmectl explain` tells
about each. Whoever raises an error names it: ``raise BuildError(text, code="no_uv")``. What AWS
refused has AWS's own: ``aws_<Code>``. `kind` is the class of the error in one word.
"""

from __future__ import annotations


class MmectlError(Exception):
    """An expected failure, shown to people without a traceback."""

    kind = code = "failed"
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class UsageError(MmectlError):
    """The command line or an argument is wrong."""

    kind = code = "usage"
    exit_code = 2


class ConfigError(MmectlError):
    """The configuration is wrong; `problems` holds one line for each thing to fix."""

    kind = code = "config"
    exit_code = 2

    def __init__(
        self, problems: tuple[str, ...], *, hint: str | None = None, code: str | None = None
    ) -> None:
        super().__init__("\n".join(problems), hint=hint, code=code)
        self.problems = problems


class ArtifactError(MmectlError):
    """A model folder, a tarball or an upload is not as it must be."""

    kind = code = "artifact"


class BuildError(MmectlError):
    """The container image or the local serving environment could not be made."""

    kind = code = "build"


class DeployError(MmectlError):
    """A change to an endpoint failed; the text says what still serves."""

    kind = code = "deploy"


class InvokeError(MmectlError):
    """A model did not answer, or with an error: of that HTTP `status`, where it is known."""

    kind = code = "invoke"
    status: int | None = None


class NoEndpoint(InvokeError):
    """There is no endpoint of that name: no other request will be answered either."""

    code = "not_found"


class ModelNotReady(InvokeError):
    """The model is still being downloaded or loaded (ModelNotReadyException, 429)."""

    code = "model_not_ready"


class TryAgain(InvokeError):
    """The service had no room for the request just now (throttled, 5xx); it may be sent again."""

    code = "busy"


class PlatformError(MmectlError):
    """The embedded local platform could not be started, reached or stopped."""

    kind = code = "platform"


class ServiceError(MmectlError):
    """An AWS service refused a call; `code` is `aws_<Code>`."""

    kind = code = "aws"


class Interrupted(MmectlError):
    """Ctrl-C; `message` says what goes on without us and how to resume."""

    kind = code = "interrupted"
    exit_code = 130
