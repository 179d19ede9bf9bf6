"""What is kept of every transaction."""

from fastsmtp.config.places import OptionalSitePath
from fastsmtp.config.table import Table, default
from fastsmtp.config.units import Duration, Size

__all__ = ["RecordSettings"]


class RecordSettings(Table):
    """What became of every transaction, for `fastsmtp explain` (see explain.md)."""

    enabled: bool = default(
        True, "Keep it. The id at the end of every refusal finds it; without records there is the log."
    )
    path: OptionalSitePath = default("", "The SQLite file. Empty: `records.db` beside the folder of `maildir.journal`.")
    keep: Duration = default("14d", "For so long.", gt=0)
    size: Size = default("256MiB", "And no more than this: then the oldest go first.", ge=1 << 20)
