"""What may differ from one run to the next: both sides are compared without it.

A line `...` of a page stands for any lines, also none.
"""

from __future__ import annotations

import re

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
VARYING = (  # pattern, what stands for it; in this order
    (r"\x1b\[[0-9;?]*[a-zA-Z]", ""),
    (r"^(python|java): .*$", r"\1: PATH"),
    (r"^environment: Python .*\n", ""),  # only where none of these packages was there
    (r"^lock: waiting for another build of this project\n", ""),  # another page's
    (r"^instances are still stopping: .*\n", ""),  # said by a slow machine
    (r"^requests were sent late by .*\n", ""),  # so is this, by bench
    # answers of models: processors differ in the last digits
    (r"\b(\d\.\d{3})\d*(e[+-]\d+)\b", r"\1\2"),
    (r"\b(\d{1,9}\.\d{4})\d+\b", r"\1"),
    (r"\b1[5-9]\d{8}(?:\.\d+)?\b", "EPOCH"),
    (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "UUID"),
    (r"\bi-[0-9a-f]{8,}\b", "INSTANCE"),
    (r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}\b", "KEY"),
    (r"(SECRET_ACCESS_KEY|SESSION_TOKEN)(\W+)[\w/+=-]+", r"\1\2SECRET"),
    (r"(?<![\w.])(?!123456789012)[0-9a-f]{8,}\b", "DIGEST"),
    (r"\bW-DIGEST-\d+", "W-DIGEST-N"),  # a model's worker made again has the next number
    (
        r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d| UTC)?)?",
        "DATE",
    ),
    (r"^DATE +\d+ ", "DATE N "),  # of aws s3 ls
    (r"\b\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-", "MINUTE-"),  # of captured requests
    (r"\b\d\d:\d\d(?::\d\d)?(?:\.\d+)?\b", "CLOCK"),
    (r"\b(127\.0\.0\.1|localhost):\d+", r"\1:PORT"),
    (r"\b\d+\.\d+\.\d+(?:[a-z.+-]+[\w.]*)?", "VERSION"),
    (r"\bpid +\d+", "pid N"),
    (rf"\b{_NUMBER} ?(?:s|ms|us|µs|min|h|seconds?|minutes?)\b", "TIME"),
    (r"((?: +TIME){4}) +\d+\.\d\d$", r"\1 RATIO"),  # of two variants
    (r"\b(autoscaling\.target: )\d+(?= +#)", r"\1N"),  # what bench measured
    (rf"\b{_NUMBER} of (?={_NUMBER} ?[MG]B)", "N of "),  # memory of an instance
    (rf"\b{_NUMBER} ?(?:B|kB|KB|KiB|MB|MiB|GB|GiB|bytes)(?:/s)?(?!\w)", "SIZE"),
    (rf"\b{_NUMBER}(?: ?/s| a second| per second)\b", "RATE"),
    (r"[ \t]+", " "),  # columns are as wide as what stands in them
    (r" ?$", ""),
)
_PATTERNS = [(re.compile(pattern, re.MULTILINE), word) for pattern, word in VARYING]
ANY = "..."


def plain(text: str) -> str:
    """The text without what varies."""
    for pattern, word in _PATTERNS:
        text = pattern.sub(word, text)
    return text.strip("\n")


def agree(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed, but for what varies."""
    wanted = "".join(
        r"(?:.*\n)*?" if line.strip() == ANY else re.escape(line) + r"\n"
        for line in plain(shown).splitlines()
    )
    text = "".join(f"{line}\n" for line in plain(printed).splitlines())
    return re.fullmatch(wanted, text) is not None
