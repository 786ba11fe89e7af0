"""CloudWatch Logs filter patterns, as far as they are plain words; pure."""

from __future__ import annotations

import re
from collections.abc import Callable

_TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')


def filter_for(pattern: str) -> Callable[[str], bool] | None:
    """A test for messages, or None for the kinds of pattern that are not understood.

    Understood, with regard to case: ``ERROR timeout`` (both words), ``"worker died"`` (that
    text), ``?ERROR ?WARN`` (either), ``-DEBUG`` (not that). JSON (``{...}``), space-delimited
    (``[...]``) and regular expression (``%...%``) patterns are not.
    """
    if pattern.strip()[:1] in ("{", "[", "%") and pattern.strip():
        return None
    terms = [
        (sign, re.sub(r"\\(.)", r"\1", quoted) if quoted else word)
        for sign, quoted, word in _TERM.findall(pattern)
    ]
    every = [text for sign, text in terms if sign == ""]
    some = [text for sign, text in terms if sign == "?"]
    none = [text for sign, text in terms if sign == "-"]

    def wanted(message: str) -> bool:
        return (
            all(text in message for text in every)
            and (not some or any(text in message for text in some))
            and not any(text in message for text in none)
        )

    return wanted
