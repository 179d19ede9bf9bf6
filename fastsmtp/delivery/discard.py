"""A store that throws mail away: for benchmarks and tests."""

from fastsmtp.smtp.replies import Reply
from fastsmtp.smtp.transaction import Transaction

__all__ = ["DiscardStore"]


class DiscardStore:
    """Takes every message and keeps none; the reply says so."""

    def store(self, transaction: Transaction) -> Reply:
        """Always 250."""
        return Reply(250, "2.0.0", f"discarded as {transaction.id}, this server keeps no mail")

    async def open(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Nothing to finish."""
