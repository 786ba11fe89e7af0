"""The whole of config.yaml: every section, and its JSON schema."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mmectl.config.sections.account import Aws, Bucket
from mmectl.config.sections.autoscaling import Autoscaling
from mmectl.config.sections.capture import Capture
from mmectl.config.sections.endpoint import Endpoint
from mmectl.config.sections.image import Build, Image
from mmectl.config.sections.local import Local
from mmectl.config.sections.models import Invoke, Model, Upload, Zoo
from mmectl.config.sections.network import Network
from mmectl.config.sections.section import Section
from mmectl.config.sections.update import Update
from mmectl.config.sections.watching import Alarms, Logs


class Settings(Section):
    """The whole file."""

    platform: Literal["local", "aws"] = Field(
        "local", description="local: embedded on this machine; aws: an AWS account"
    )
    aws: Aws = Aws()
    bucket: Bucket = Bucket()
    image: Image = Image()
    build: Build = Build()
    endpoint: Endpoint = Endpoint()
    network: Network = Network()
    capture: Capture = Capture()
    update: Update = Update()
    alarms: Alarms = Alarms()
    logs: Logs = Logs()
    autoscaling: Autoscaling = Autoscaling()
    models: tuple[Model, ...] = Field((), strict=False, description="what upload --all uploads")
    upload: Upload = Upload()
    zoo: Zoo = Zoo()
    invoke: Invoke = Invoke()
    local: Local = Local()


def schema() -> dict[str, Any]:
    """The JSON schema of config.yaml, for editors."""
    made = Settings.model_json_schema()
    one = {
        "type": "object",
        "description": "What is different in one environment.",
        "properties": dict(made["properties"]),
        "additionalProperties": False,
    }
    made["properties"]["environments"] = {
        "type": "object",
        "title": "Environments",
        "description": "name -> what is different there; chosen by --env or MMECTL_ENV",
        "additionalProperties": {"anyOf": [one, {"type": "null"}]},
    }
    return made
