"""Which values options and arguments take, for shell completion (`mmectl.completion`)."""

from __future__ import annotations

from dataclasses import dataclass

import click

_CHOOSING = ("config_file", "environment", "platform")


@dataclass(frozen=True, slots=True)
class Candidates:
    """Values of a kind; click asks by calling it, and the tree of completion by its `kind`."""

    kind: str

    def __call__(
        self, context: click.Context, _parameter: click.Parameter, start: str
    ) -> list[str]:
        """What begins so, for scripts of click's own protocol."""
        from mmectl.completion.answer import offered
        from mmectl.completion.line import Asked

        given = context.params
        options = {name: str(given[name]) for name in _CHOOSING if given.get(name)}
        others = (str(given["name"]),) if given.get("name") else ()
        return offered(Asked(self.kind, start, "", "", others, options))


models = Candidates("models")
models_or_folders = Candidates("models_or_folders")
versions = Candidates("versions")
endpoints = Candidates("endpoints")
environments = Candidates("environments")
frameworks = Candidates("frameworks")
codes = Candidates("codes")
instances = Candidates("instances")
keys = Candidates("keys")
settings = Candidates("setting")
