"""What buttons do: each is a command, shown before it is done. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmectl.base.errors import UsageError
from mmectl.web.rows import MOST

Form = Mapping[str, Sequence[str]]
"""What was filled in, by field."""


@dataclass(frozen=True, slots=True)
class Action:
    """A command and what it is given: `fields` of a form, in the order of its arguments.

    `shows` is what tells beforehand what it would do; `insists` what does it all the same.
    `several` takes its field more than once.
    """

    command: tuple[str, ...]
    fields: tuple[str, ...]
    question: str
    shows: tuple[str, ...] = ()
    insists: tuple[str, ...] = ()
    several: bool = False

    def arguments(self, form: Form, options: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The command line's words; names are never taken for options. Raises UsageError."""
        command = " ".join(self.command)
        for field in self.fields:
            given = form.get(field, ())
            if not given or not all(given):
                raise UsageError(f"{command}: no {field} was given", code="missing_argument")
            if len(given) > (MOST if self.several else 1):
                raise UsageError(
                    f"{command}: {len(given)} were given at once; at most "
                    f"{MOST if self.several else 1} are taken",
                    code="bad_value",
                )
        values = [value for field in self.fields for value in form[field]]
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
        several=True,
    ),
    "remove": Action(
        ("models", "remove"),
        ("name",),
        "The tarballs are deleted from S3. Requests that name them fail from then on.",
        shows=("--dry-run",),
        insists=("--yes",),
        several=True,
    ),
}
