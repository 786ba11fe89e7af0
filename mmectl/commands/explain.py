"""`mmectl explain`."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import click

from mmectl.base import codes, packaged
from mmectl.base.errors import UsageError
from mmectl.commands import candidates
from mmectl.commands.common import command
from mmectl.console import entries
from mmectl.console.output import Result, Table

if TYPE_CHECKING:
    from mmectl.app import App


@command(
    examples="mmectl explain endpoint_failed\n"
    "mmectl explain did not pass the ping health check\n"
    "mmectl explain   # lists all codes"
)
@click.argument("what", nargs=-1, metavar="[CODE | MESSAGE]", shell_complete=candidates.codes)
def explain(_app: App, what: tuple[str, ...]) -> Result:
    """Tell what an error's code means, why it comes and how to fix it.

    CODE is what an error names in its last line, and --json under `code`. A
    MESSAGE, or some words of one, finds the entries that tell of it. Without
    either all codes are listed. Works offline: the texts are in the package.
    """
    asked = " ".join(what).strip()
    return _entry(asked) if asked else _all()


def _all() -> Result:
    rows = [[code, title] for code, title in codes.TITLES.items()]
    return Result({"codes": codes.TITLES}, [Table(("CODE", "WHAT IT MEANS"), rows)])


def _entry(asked: str) -> Result:
    """The entry of a code; else those that have the words of a message."""
    known = entries.read(packaged.troubleshooting())
    code = codes.entry_of(asked)
    if code not in known and (named := codes.entry_of(codes.AWS + asked)) != "aws":
        code = named
    if code in known:
        return _shown(asked, code, known[code])
    found = entries.about(asked, known) if " " in asked else []
    if len(found) == 1:
        return _shown(asked, found[0], known[found[0]])
    if not found:
        raise _unknown(asked)
    rows = [[name, codes.TITLES.get(name, "words of AWS's")] for name in found]
    view = ["Several entries tell of that; read one: mmectl explain CODE", ""]
    return Result({"asked": asked, "found": found}, [*view, Table(("CODE", "WHAT IT MEANS"), rows)])


def _shown(asked: str, name: str, text: str) -> Result:
    plain = entries.plain(text)
    data = {"asked": asked, "code": name, "title": codes.TITLES.get(name, name), "text": plain}
    same = name == asked or " " in asked
    return Result(data, [name if same else f"{asked}: see {name}", "", plain])


def _unknown(asked: str) -> UsageError:
    close = difflib.get_close_matches(asked, codes.TITLES, n=1)
    hint = f"did you mean: mmectl explain {close[0]}" if close else "list them: mmectl explain"
    return UsageError(f"no error has the code {asked!r}", hint=hint, code="unknown_code")
