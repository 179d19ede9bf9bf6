"""Keep copies of messages that were taken, to look at."""

import asyncio
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from fastsmtp.plugin import (
    Place,
    Plugin,
    Reply,
    Services,
    Transaction,
    canonical_domain,
)

__all__ = ["ContentLog", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes in octets."""

    folder: Path
    sender_domains: frozenset[str] = frozenset()
    recipient_domains: frozenset[str] = frozenset()
    max_message: int = 1_048_576
    max_day: int = 1_073_741_824

    def __post_init__(self) -> None:
        if not self.folder.is_absolute():
            raise ValueError(f"`folder` has to be an absolute path, not {str(self.folder)!r}")
        for option, size in (("max_message", self.max_message), ("max_day", self.max_day)):
            if size < 1:
                raise ValueError(f"`{option}` is a size in octets above 0, not {size}")
        object.__setattr__(self, "sender_domains", frozenset(map(canonical_domain, self.sender_domains)))
        object.__setattr__(self, "recipient_domains", frozenset(map(canonical_domain, self.recipient_domains)))


class ContentLog(Plugin[Options]):
    """Writes a copy of each message that was taken to `folder/YYYY-MM-DD/ID.eml` (days in UTC, files 0600).

    * `folder`: an absolute path; it is made when it is not there. Nothing in it is ever removed.
    * `sender_domains`, `recipient_domains` (all): only mail from, or with a recipient in, one of these domains.
    * `max_message` (1 MiB): larger messages are left out. Octets.
    * `max_day` (1 GiB): so much is written into the folder of a day by each worker, and then no more. Octets.

    The client has its 250 before the copy is made, in a thread: a full or slow disk is an `error` in the results and a
    line in the log, and nothing to the mail. Copies have what the client sent and what plugins added, no trace fields.
    """

    def warnings(self, place: Place) -> Iterator[tuple[str, str]]:
        if self.options.max_message > self.options.max_day:
            yield "max_day", "is less than max_message: the largest messages are never copied; write more"

    async def start(self, services: Services) -> None:
        self._clock = services.clock
        self._turn = asyncio.Lock()  # one copy at a time: the sum of the day stays right, and threads few
        self._day = ""
        self._day_bytes = 0

    async def on_stored(self, txn: Transaction, reply: Reply) -> None:
        if not self._is_wanted(txn):
            return
        message = txn.message
        size = len(message.added) + message.stored_size
        if size > self.options.max_message:
            self.record(txn, "skip", "too large to copy")
            return
        if self.is_shadow:
            self.record(txn, "skip", "would be copied")
            return
        async with self._turn:
            try:
                content = chain([message.added], message.content())
                file = await asyncio.to_thread(self._write, f"{txn.id}.eml", content, size)
            except OSError as error:
                self._day = ""  # the next one looks at what there is
                self.record(txn, "error", f"no copy: {error.strerror}")
                self.log.error("no copy", extra={"id": txn.id, "error": str(error)})  # noqa: TRY400 - disks, not code
                return
        self.record(txn, "pass" if file else "skip", f"copied to {file}" if file else "enough for this day")

    def _is_wanted(self, txn: Transaction) -> bool:
        senders, recipients = self.options.sender_domains, self.options.recipient_domains
        if senders and txn.sender.domain not in senders:
            return False
        return not recipients or any(recipient.address.domain in recipients for recipient in txn.recipients)

    def _write(self, name: str, content: Iterable[bytes], size: int) -> Path | None:
        """In a thread: the file that was written, None when there was enough for this day. Raises OSError."""
        day = datetime.fromtimestamp(self._clock.time(), UTC).date().isoformat()
        folder = self.options.folder / day
        if day != self._day:
            self.options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            with os.scandir(folder) as entries:
                self._day_bytes = sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
            self._day = day
        if self._day_bytes + size > self.options.max_day:
            return None
        file = folder / name
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as copy:
                copy.writelines(content)
        except OSError:
            with suppress(OSError):  # what cannot be written may not be removable either
                file.unlink()
            raise
        self._day_bytes += size
        return file
