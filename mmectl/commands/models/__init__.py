"""`mmectl models`: the group, and its commands in the order of the help."""

from __future__ import annotations

from mmectl.commands.models import change, listing  # noqa: F401 - the help's order
from mmectl.commands.models.group import models

__all__ = ["models"]
