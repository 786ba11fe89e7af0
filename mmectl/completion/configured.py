"""What config.yaml offers completion, read as commands read it; takes what pydantic takes."""

from __future__ import annotations

from pathlib import Path

from mmectl.base.errors import MmectlError
from mmectl.completion.known import Known, Project


def configured(about: Project, before: Known) -> Known:
    """The names of a configuration; what was listed stays where they lead to the same place."""
    from mmectl.config import project
    from mmectl.config.loading import load

    flags = {"platform": about.platform} if about.platform else {}
    path = Path(about.config) if about.config else None
    now = Known()
    now.listed, now.models, now.endpoints = before.listed, before.models, before.endpoints
    try:
        if path is not None and path.name == project.FILE_NAME:
            path = project.find(path.parent).path or path
        found = load(path, flags=flags, chosen=about.environment, leave_out=True)
    except MmectlError:
        return now
    settings = found.settings
    now.environments = list(found.environments)
    now.configured = [model.name for model in settings.models]
    now.endpoint = settings.endpoint.name
    if before.endpoint not in ("", now.endpoint):  # models are elsewhere now
        now.models, now.listed, now.endpoints = {}, 0.0, []
    return now
