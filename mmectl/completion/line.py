"""A command line before the cursor -> what is asked for; standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

TYPE_CHECKING = False  # as typing has it, which takes its time
if TYPE_CHECKING:
    from typing import Any

    Kind = str | list[str] | None
    """Which values: a word such as ``models``, the values themselves, or None for any text."""


class Asked:
    """What is to be completed: `start` is typed already, and stands behind `prefix` in its word.

    `kind` is ``command`` or ``option`` where names of those are asked for; `others` are the
    arguments before, `options` those that chose a project.
    """

    def __init__(
        self,
        kind: Kind,
        start: str,
        prefix: str = "",
        path: str = "",
        others: tuple[str, ...] = (),
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.kind, self.start, self.prefix, self.path = kind, start, prefix, path
        self.others, self.options = others, options or {}


def split(text: str) -> list[str]:
    """The words of a line as a shell takes them; the last one may be empty, or not closed."""
    words, word, quote, begun = [], "", "", False
    letters = iter(text)
    for letter in letters:
        if quote and letter == quote:
            quote = ""
        elif letter == "\\" and quote != "'":
            word, begun = word + next(letters, ""), True
        elif not quote and letter in "'\"":
            quote, begun = letter, True
        elif not quote and letter.isspace():
            words += [word] if begun else []
            word, begun = "", False
        else:
            word, begun = word + letter, True
    return [*words, word]


def asked(words: Sequence[str], tree: Mapping[str, Any]) -> Asked:
    """What the last of the words, which follow the program's name, is the start of."""
    *before, last = words
    path, others, chosen = "", [], {}
    waiting: str | None = None  # the option whose value comes next
    only_arguments = False
    for word in before:
        here = tree["commands"][path]
        if waiting is not None:
            chosen[waiting], waiting = word, None
        elif word == "--" and not only_arguments:
            only_arguments = True
        elif word.startswith("-") and word != "-" and not only_arguments:
            name, equals, value = word.partition("=")
            option = here["options"].get(name)
            if option and option["takes"] and equals:
                chosen[option["name"]] = value
            elif option and option["takes"]:
                waiting = option["name"]
        elif "commands" in here and _joined(path, word) in tree["commands"]:
            path = _joined(path, word)
        else:
            others.append(word)
    here = tree["commands"][path]
    kind, start, prefix = _kind(here, others, last, waiting, only_arguments)
    return Asked(kind, start, prefix, path, tuple(others), chosen)


def _joined(path: str, word: str) -> str:
    return f"{path} {word}".strip()


def _kind(
    here: Mapping[str, Any], others: Sequence[str], last: str, waiting: str | None, only: bool
) -> tuple[Kind, str, str]:
    """Kind, what is typed of it, and what stands before that in the word."""
    options = here["options"]
    if waiting is not None:
        return next(one["kind"] for one in options.values() if one["name"] == waiting), last, ""
    if last.startswith("-") and not only:
        name, equals, value = last.partition("=")
        if not equals:
            return "option", last, ""
        option = options.get(name)
        takes = option is not None and option["takes"]
        return (option["kind"] if takes else None), value, f"{name}="
    if "commands" in here:
        return "command", last, ""
    arguments = here["arguments"]
    if not arguments:
        return None, last, ""
    index = min(len(others), len(arguments) - 1)
    taken = len(others) >= len(arguments) and not arguments[-1]["many"]
    return (None if taken else arguments[index]["kind"]), last, ""
