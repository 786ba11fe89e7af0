"""Takes secrets out of texts: those that are known, and what looks like one.

Meant for logs and tracebacks that somebody else will read: rather too much is taken than too
little. All repetitions are bounded, as a line of a log may be long.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator

MASK = "***"
_SHORTEST = 4  # characters; what is shorter is no secret, and stands everywhere
_WORD = (
    r"secret|token|passw|passphrase|pwd|credential|signature|bearer|auth(?!or)"
    r"|(?:api|access|private|secret|signing|encryption|account)[_-]?key"
)
_NAME = re.compile(rf"{_WORD}|(?<!kms)(?<!kms_)key|login|dsn|(?<![a-z])pw(?![a-z])", re.IGNORECASE)
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s,;&{}\[\]"']+)"""
_HEADERS = r"authorization|x-amz-security-token|(?:set-)?cookie"


def _quoted(found: re.Match[str]) -> str:
    """A name, and in place of its value the mask, quoted as the value was."""
    quote = found[2][0] if found[2][0] in "\"'" else ""
    return f"{found[1]}{quote}{MASK}{quote}"


_PATTERNS = tuple(
    (re.compile(pattern, flags), into)
    for pattern, into, flags in (
        # a key from its first to its last line, or as far as the text goes
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", MASK, re.DOTALL),
        # a header to the end of its line
        (rf"""((?:{_HEADERS})["']?\s*[:=]\s*["']?)[^\r\n"']+""", rf"\1{MASK}", re.IGNORECASE),
        # a login in an address; what an address asks, of which signatures are a part
        (r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@\"']+@", rf"\1{MASK}@", re.IGNORECASE),
        (r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s?\"'<>]*\?)[^\s\"'<>]+", rf"\1{MASK}", re.IGNORECASE),
        (
            r"((?:X-Amz-[A-Za-z-]+|AWSAccessKeyId|Signature)=)[^\s&\"']+",
            rf"\1{MASK}",
            re.IGNORECASE,
        ),
        # what is given for one command
        (r"(--set[ =]['\"]?[A-Za-z0-9_.]+=)(?:\{[^}\n]*\}?|\S+)['\"]?", rf"\1{MASK}", 0),
        # a name of a secret with its value
        (
            rf"""((?:{_WORD})[\w.-]{{0,60}}["']?\s*[:=]\s*){_VALUE}""",
            rf"\1{MASK}",
            re.IGNORECASE,
        ),
        (
            rf"((?<![\w-])--?[\w-]{{0,40}}(?:{_WORD})[\w-]{{0,40}}\s+)(?!-)\S+",
            rf"\1{MASK}",
            re.IGNORECASE,
        ),
        (r"\bBearer\s+\S+", f"Bearer {MASK}", re.IGNORECASE),
        # forms that are known: AWS, GitHub, GitLab, Slack, Hugging Face, OpenAI, JSON web tokens
        (r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b", MASK, 0),
        (r"\b(?:gh[oprsu]_|github_pat_|glpat-|xox[a-z]-|hf_|sk-)[\w-]{10,}", MASK, 0),
        (r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", MASK, 0),
        (r"[A-Za-z0-9/+]{100,}={0,2}", MASK, 0),
    )
)
_KEY = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")
_ACCOUNT = re.compile(r"(?<!\d)\d{12}(?!\d)")


def secret_name(name: str) -> bool:
    """Whether a variable of that name holds a secret, as far as names tell."""
    return bool(_NAME.search(name))


class Scrubber:
    """Takes secrets out of texts; an account has the same number in all of them."""

    def __init__(self, secrets: Iterable[str], home: str = "") -> None:
        known = {form for secret in secrets for form in _forms(secret)}
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None
        self._home = home if len(home) > 1 else ""
        self._accounts: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """The text without secrets, account ids and the home folder's name."""
        if self._known:
            text = self._known.sub(MASK, text)
        for pattern, into in _PATTERNS:
            text = pattern.sub(into, text)
        text = _KEY.sub(lambda found: MASK if _mixed(found[0]) else found[0], text)
        text = _ACCOUNT.sub(self._account, text)
        return text.replace(self._home, "~") if self._home else text

    def _account(self, found: re.Match[str]) -> str:
        number = f"<account-{len(self._accounts) + 1}>"
        return self._accounts.setdefault(found[0], number)


def _forms(secret: str) -> Iterator[str]:
    """A secret as it may stand in a text: as it is, its lines, in JSON, in a URL, in base64."""
    for text in {secret, secret.strip(), *secret.splitlines()}:
        if len(text) >= _SHORTEST:
            yield text
            yield json.dumps(text)[1:-1]
            yield repr(text)[1:-1]
            yield urllib.parse.quote(text, safe="")
            yield base64.b64encode(text.encode("utf-8", "surrogateescape")).decode().rstrip("=")


def _mixed(text: str) -> bool:
    """Whether it is no path and no checksum: capitals, small letters and digits."""
    return bool(re.search("[A-Z]", text) and re.search("[a-z]", text) and re.search("[0-9]", text))
