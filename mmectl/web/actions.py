"""What buttons do: each is a command, shown before it is done. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mmectl.base.errors import UsageError


@dataclass(frozen=True, slots=True)
class Action:
    """A command and what it is given: `fields` of a form, in the order of its arguments.

    `shows` is what tells beforehand what it would do; `insists` what does it all the same.
    """

    command: tuple[str, ...]
    fields: tuple[str, ...]
    question: str
    shows: tuple[str, ...] = ()
    insists: tuple[str, ...] = ()

    def arguments(self, form: Mapping[str, str], options: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The command line's words; names are never taken for options. Raises UsageError."""
        missing = [field for field in self.fields if not form.get(field)]
        if missing:
            raise UsageError(
                f"{' '.join(self.command)}: no {missing[0]} was given", code="missing_argument"
            )
        values = [form[field] for field in self.fields]
        return (*self.command, *options, "--", *values)


ACTIONS: Mapping[str, Action] = {
    "promote": Action(
        ("models", "promote"),
        ("name", "version"),
        "From now on requests for this model go to this version.",
    ),
    "rollback": Action(
        ("models", "rollback"),
        ("name",),
        "The last promotion of this model is undone.",
    ),
    "warm": Action(
        ("warm",),
        ("name",),
        "The model is loaded now, so that its next request finds it in memory.",
    ),
    "remove": Action(
        ("models", "remove"),
        ("name",),
        "The tarballs are deleted from S3. Requests that name them fail from then on.",
        shows=("--dry-run",),
        insists=("--yes",),
    ),
}
