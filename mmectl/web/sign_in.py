"""How a tab gets the token: a code of the address, or of a tab that has it, is exchanged once."""

from __future__ import annotations

import math

from aiohttp import web

from mmectl.web.codes import Codes

_SPENT = "this code was used, is older than two minutes, or is wrong"


class SignIn:
    """The routes; see `guard` for who may call them."""

    def __init__(self, codes: Codes, token: str) -> None:
        self._codes, self._token = codes, token

    async def exchange(self, request: web.Request) -> web.Response:
        """The token for a code; 401 where the code is not good, 429 after many that were not."""
        code = (await request.read())[:200].decode("utf-8", "replace")
        if self._codes.spend(code):
            return web.json_response({"token": self._token})
        wait = math.ceil(self._codes.wait())
        if wait:
            why = f"too many wrong codes: try again in {wait} s"
            return web.Response(status=429, text=f"{why}\n", headers={"Retry-After": str(wait)})
        return web.Response(status=401, text=f"{_SPENT}\n")

    async def invite(self, _: web.Request) -> web.Response:
        """A code for another tab of this browser."""
        return web.json_response({"code": self._codes.issue()})
