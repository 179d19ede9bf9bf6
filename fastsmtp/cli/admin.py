"""The directory that `domain` and `user` change."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastsmtp.directory.admin import SqliteAdmin

__all__ = ["open_admin", "yes_no"]


@contextmanager
def open_admin(config: Path | None, *, make: bool = False) -> Iterator["SqliteAdmin"]:
    """The directory of this configuration, open for changes; `make` one where there is no file yet.

    Raises ConfigurationError, DirectoryError.
    """
    from fastsmtp.config.load import find_file, load
    from fastsmtp.directory.admin import SqliteAdmin

    path = load(find_file(config)).directory.url.path
    # An existing file is somebody's: it gets no tables, indexes or journal mode of ours for the asking.
    with SqliteAdmin(path, create=make and not path.exists()) as admin:
        yield admin


def yes_no(value: bool) -> str:
    """A truth value in a table."""
    return "yes" if value else "no"
