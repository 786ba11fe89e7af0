"""Who may ask the console, and what a browser may do with its pages. Pure.

The token never is a cookie: a browser sends those to every server of 127.0.0.1, and with requests
that other sites begin. A tab gets it for a code (`codes`) that the fragment of the first address
holds, which no browser sends. From then on it comes in the Authorization header, which no other
site can set: there is no CSRF.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

HEADERS = {
    # no inline code or style, nothing from elsewhere, in nobody's frame
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_OURS = ("same-origin", "none")


class Guard:
    """Judges requests to a console on this port of 127.0.0.1."""

    def __init__(self, token: str, port: int) -> None:
        self.token = token
        names = ("127.0.0.1", "localhost")
        self._hosts = tuple(f"{name}:{port}" for name in names)
        if port == 80:  # browsers leave it out
            self._hosts += names

    def foreign(self, headers: Mapping[str, str], *, opens: bool = False) -> str | None:
        """Why a request is not of a page of ours; None where it is, or of the address bar.

        A name of somebody else's may lead to 127.0.0.1 (DNS rebinding), so Host must be ours.
        What `opens` the console, and tells nothing yet, may be a link that somebody follows:
        to a browser the file that leads here is another site. It may not be a frame or a script.
        """
        if headers.get("Host", "").lower() not in self._hosts:
            return "the Host header is not this console's address"
        origin = headers.get("Origin")
        if origin is not None and origin.lower().removeprefix("http://") not in self._hosts:
            return "another site's page asked"
        followed = opens and _goes(headers)
        if headers.get("Sec-Fetch-Site", "none") not in _OURS and not followed:
            return "another site's page asked"
        return None

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request carries the token."""
        kind, _, given = headers.get("Authorization", "").partition(" ")
        token = given.encode("utf-8", "surrogateescape")
        return kind == "Bearer" and hmac.compare_digest(token, self.token.encode())


def _goes(headers: Mapping[str, str]) -> bool:
    """Whether a browser's tab goes to the address."""
    kind = (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest"))
    return kind == ("navigate", "document")
