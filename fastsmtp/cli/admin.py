"""The directory that `domain` and `user` change."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsmtp.directory.admin import SqliteAdmin

__all__ = ["open_admin", "yes_no"]


@contextmanager
def open_admin(config: Path | None) -> Iterator["SqliteAdmin"]:
    """The directory of this configuration, open for changes. Raises ConfigurationError, DirectoryError."""
    from fastsmtp.config.load import find_file, load
    from fastsmtp.directory.admin import SqliteAdmin

    with SqliteAdmin(load(find_file(config)).directory.url.path) as admin:
        yield admin


def yes_no(value: bool) -> str:
    """A truth value in a table."""
    return "yes" if value else "no"
