"""aiosmtpd with its Mailbox handler, on uvloop: `python aiosmtpd_mailbox.py MAILDIR`; prints its port."""

import asyncio
import sys
from pathlib import Path

import uvloop
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP


async def serve(maildir: str) -> None:
    """Listen on a free port of the loopback until killed."""
    handler = Mailbox(Path(maildir))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, enable_SMTPUTF8=True), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
