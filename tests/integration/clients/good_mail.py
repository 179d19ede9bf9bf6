"""Mail as it should be, while others attack: a few connections that send small messages, one after the other.

    with GoodMail(server) as mail:
        peace = mail.rate(5)
        ...                                     an attack
        war = mail.rate(5)

It runs in a process of its own, so that the attack does not take its time; the server says how much it has stored.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from integration.server import DEADLINE_S, ServerProcess, wait_until
from refusals import plain

CONNECTIONS: Final = 4
MESSAGE: Final = b"Subject: good mail\r\n\r\n" + b"The quick brown fox jumps over the lazy dog.\r\n" * 80 + b".\r\n"
PAUSE_S: Final = 0.02
"""Between messages: what is measured is whether they get through, not how many there could be."""


class GoodMail:
    """Sends as long as it is open, so many messages on each connection; `summary` is there afterwards."""

    def __init__(self, server: ServerProcess, on_each: int = 100) -> None:
        self._server = server
        self._command = [sys.executable, __file__, server.host, str(server.port), str(on_each)]
        self.summary: dict[str, Any] = {}

    def __enter__(self) -> Self:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        before = self._stored()
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        wait_until(lambda: self._stored() >= before + CONNECTIONS, "the first good messages")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        said, _ = self._process.communicate(timeout=DEADLINE_S)
        assert self._process.returncode == 0
        self.summary = json.loads(said)

    def rate(self, seconds: float) -> float:
        """Messages a second that are stored from now on, for so long."""
        begun, before = time.monotonic(), self._stored()
        time.sleep(seconds)
        return (self._stored() - before) / (time.monotonic() - begun)

    def _stored(self) -> float:
        return self._server.metric("fastsmtp_transactions_total", outcome="stored")


async def _send(host: str, port: int, on_each: int, end: asyncio.Event, summary: dict[str, Any]) -> None:
    """One connection after the other."""
    while not end.is_set():
        reader, writer = await asyncio.open_connection(host, port)
        try:
            if not await _transact(reader, writer, on_each, end, summary):
                await asyncio.sleep(10 * PAUSE_S)
        except ConnectionError:
            summary["lost"] += 1
        writer.close()


async def _transact(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    on_each: int,
    end: asyncio.Event,
    summary: dict[str, Any],
) -> bool:
    """Whether all went well; what did not is in the summary."""

    async def expect(code: bytes) -> bool:
        while (line := await reader.readline())[3:4] == b"-":
            pass
        if line.startswith(code):
            return True
        key = plain(line.decode().strip()) or "closed"
        summary["refusals"][key] = summary["refusals"].get(key, 0) + 1
        return False

    if not await expect(b"220"):
        return False
    writer.write(b"EHLO good.example\r\n")
    if not await expect(b"250"):
        return False
    for _ in range(on_each):
        begun = time.monotonic()
        for command, code in (
            (b"MAIL FROM:<ann@example.org>\r\n", b"250"),
            (b"RCPT TO:<bob@example.test>\r\n", b"250"),
            (b"DATA\r\n", b"354"),
            (MESSAGE, b"250"),
        ):
            writer.write(command)
            if not await expect(code):
                return False
        summary["stored"] += 1
        summary["worst_s"] = max(summary["worst_s"], time.monotonic() - begun)
        if end.is_set():
            return True
        await asyncio.sleep(PAUSE_S)
    writer.write(b"QUIT\r\n")
    return True


async def _main(host: str, port: int, on_each: int) -> None:
    summary: dict[str, Any] = {"stored": 0, "lost": 0, "worst_s": 0.0, "refusals": {}}
    end = asyncio.Event()
    senders = [asyncio.create_task(_send(host, port, on_each, end, summary)) for _ in range(CONNECTIONS)]
    await asyncio.to_thread(sys.stdin.read)
    end.set()
    await asyncio.gather(*senders)
    sys.stdout.write(json.dumps(summary))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
