"""The platform's S3 alone, for other projects' test suites: ``serve_s3.py PORT FOLDER``.

Keys: AKIASUITE / suitesecretsuitesecret. Runs until it is interrupted.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

KEYS = "AKIASUITE", "suitesecretsuitesecret"


async def serve(port: int, folder: Path) -> None:
    """Serve the objects in that folder on 127.0.0.1."""
    from aiohttp import web

    from mmectl.base.values import Credentials
    from mmectl.local.s3.service import S3, ObjectStore
    from mmectl.local.server.gateway import Gateway
    from mmectl.local.server.handlers import body_limit
    from mmectl.local.server.main import drop_stalled, front, hosts

    store = ObjectStore(folder)
    await store.open()
    gateway = Gateway(Credentials(*KEYS), hosts(port), {"s3": S3(store)}, body_limit)
    runner = web.ServerRunner(front(gateway), shutdown_timeout=1.0)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", port))
    drop_stalled(listener)
    await web.SockSite(runner, listener).start()
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
        await store.close()


if __name__ == "__main__":
    where = Path(sys.argv[2])
    where.mkdir(parents=True, exist_ok=True)
    try:
        asyncio.run(serve(int(sys.argv[1]), where))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
