"""The error tree. Every expected failure is an `MmectlError`; anything else is a bug.

`message` reads ``what happened: why``; `hint` is what to do next, a command wherever one
helps; `code` is a stable machine-readable name (snake_case); `exit_code` is what the
process returns: 1 failed, 2 usage or configuration, 130 interrupted.
"""

from __future__ import annotations


class MmectlError(Exception):
    """An expected failure, shown to people without a traceback."""

    code = "failed"
    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class UsageError(MmectlError):
    """The command line or an argument is wrong."""

    code = "usage"
    exit_code = 2


class ConfigError(MmectlError):
    """The configuration is wrong; `problems` holds one line for each thing to fix."""

    code = "config"
    exit_code = 2

    def __init__(self, problems: tuple[str, ...], *, hint: str | None = None) -> None:
        super().__init__("\n".join(problems), hint=hint)
        self.problems = problems


class ArtifactError(MmectlError):
    """A model folder, a tarball or an upload is not as it must be."""

    code = "artifact"


class BuildError(MmectlError):
    """The container image or the local serving environment could not be made."""

    code = "build"


class DeployError(MmectlError):
    """A change to an endpoint failed; the text says what still serves."""

    code = "deploy"


class InvokeError(MmectlError):
    """A model did not answer, or with an error: of that HTTP `status`, where it is known."""

    code = "invoke"
    status: int | None = None


class NoEndpoint(InvokeError):
    """There is no endpoint of that name: no other request will be answered either."""


class ModelNotReady(InvokeError):
    """The model is still being downloaded or loaded (ModelNotReadyException, 429)."""

    code = "model_not_ready"


class TryAgain(InvokeError):
    """The service had no room for the request just now (throttled, 5xx); it may be sent again."""

    code = "busy"


class PlatformError(MmectlError):
    """The embedded local platform could not be started, reached or stopped."""

    code = "platform"


class ServiceError(MmectlError):
    """An AWS service refused a call; `code` is `aws_<Code>`."""

    code = "aws"


class Interrupted(MmectlError):
    """Ctrl-C; `message` says what goes on without us and how to resume."""

    code = "interrupted"
    exit_code = 130
