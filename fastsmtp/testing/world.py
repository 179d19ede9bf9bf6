"""What a site has around it: a clock that tests own, a place for mail and lists in memory."""

from fastsmtp.errors import DirectoryError
from fastsmtp.ports import ListRow, StoredRows
from fastsmtp.smtp.replies import NOBODY_TOOK_IT, Reply
from fastsmtp.smtp.transaction import Transaction

__all__ = ["MemoryLists", "MemoryStore", "SettableClock"]


class SettableClock:
    """Stands still until a test sets `now` (seconds since the epoch) or lets it `advance`."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self._monotonic_ns = 1

    def time(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back, whatever becomes of `now`."""
        return self._monotonic_ns

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self._monotonic_ns += int(seconds * 1e9)


class MemoryStore:
    """Keeps mail by mailbox (`user@domain`): the fields that plugins added, then what was received. No trace fields."""

    def __init__(self) -> None:
        self.delivered: dict[str, list[bytes]] = {}

    def store(self, transaction: Transaction) -> Reply:
        """One copy for each distinct mailbox; a recipient without one refuses the message, as in a Maildir."""
        if transaction.replies_each:
            transaction.refuse_each(
                {one.address: NOBODY_TOOK_IT for one in transaction.recipients if not one.mailboxes}
            )
        recipients = transaction.remaining
        if not recipients or not all(recipient.mailboxes for recipient in recipients):
            return NOBODY_TOOK_IT
        message = transaction.message
        mailboxes = (mailbox for recipient in recipients for mailbox in recipient.mailboxes)
        for user in dict.fromkeys(f"{mailbox.user}@{mailbox.domain}" for mailbox in mailboxes):
            self.delivered.setdefault(user, []).append(message.added + bytes(message))
        return Reply(250, "2.0.0", f"kept as {transaction.id}")

    async def open(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Nothing to finish."""


class MemoryLists:
    """The lists of the directory, by name: entries with what the client hears. With `trouble` they cannot be read."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, str]] = {}
        self.trouble: DirectoryError | None = None

    async def rows(self, name: str, seen: StoredRows | None = None) -> StoredRows:
        """As for all lists."""
        if self.trouble is not None:
            raise self.trouble
        rows = tuple(map(ListRow._make, self.entries.get(name, {}).items()))
        return seen if seen is not None and seen.rows == rows else StoredRows(None, rows)
