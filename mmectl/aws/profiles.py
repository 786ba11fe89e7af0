"""Profiles of AWS's files: whether one asks a person for anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def asks_a_person(profile: str | None) -> bool:
    """Whether the profile (None: the usual one) may lead to a question at a terminal or browser."""
    import botocore.session

    session = botocore.session.Session(profile=profile)
    profiles: Mapping[str, Mapping[str, Any]] = session.full_config.get("profiles", {})
    return wants_more(profiles, session.profile or "default")


def wants_more(profiles: Mapping[str, Mapping[str, Any]], name: str) -> bool:
    """Whether a profile, or one that it stands on, wants a code or runs a program for its keys."""
    seen: set[str] = set()
    while name in profiles and name not in seen:
        seen.add(name)
        if {"mfa_serial", "credential_process"} & set(profiles[name]):
            return True
        name = str(profiles[name].get("source_profile", ""))
    return False
