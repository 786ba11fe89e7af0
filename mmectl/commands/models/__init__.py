"""`mmectl models`: the group with its commands."""

from __future__ import annotations

from mmectl.commands.models import (  # noqa: F401 - they register themselves
    change,
    check,
    clean,
    export,
    listing,
    transfer,
)
from mmectl.commands.models.group import models

__all__ = ["models"]
