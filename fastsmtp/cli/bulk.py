"""What the imports share: a file is read, all of its lines are stored, and it is said what became of them."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TextIO, TypeVar

import click

from fastsmtp.cli.exits import Failure
from fastsmtp.cli.terminal import progress_bar, say, warn

if TYPE_CHECKING:
    from fastsmtp.directory.admin import Imported
    from fastsmtp.directory.admin_import import Progress

__all__ = ["import_lines", "import_options", "output_file"]

_Line = TypeVar("_Line")
_Function = TypeVar("_Function", bound=Callable[..., object])

READ_LINES = 1000
"""After so many lines the bar moves."""

output_file = click.argument(
    "file", default="-", type=click.File("w", encoding="utf-8", errors="surrogateescape", lazy=True, atomic=True)
)
"""Standard output, or a file that is complete or is not there."""


def import_options(function: _Function) -> _Function:
    """`FILE`, `--update`, `--skip-errors`."""
    # Bytes that are no UTF-8 are complained about in their line, and a mark of byte order is nothing.
    file = click.argument("file", type=click.File("r", encoding="utf-8-sig", errors="surrogateescape"))
    update = click.option("--update", is_flag=True, help="Who is there already is changed, instead of an error.")
    skip_errors = click.option("--skip-errors", is_flag=True, help="Leave wrong lines out, import all others.")
    return file(update(skip_errors(function)))


def import_lines(
    file: TextIO,
    read: Callable[[Iterable[str]], Iterator[_Line]],
    store: Callable[[Iterable[_Line], "Progress"], "Imported"],
    what: str,
) -> None:
    """Import all lines and say how many; `what` they are. Raises Failure with each line that is wrong."""
    from fastsmtp.directory.admin import RefusedImportError

    text = file.read()
    with progress_bar("reading") as progress:
        lines = list(_watched(read(io.StringIO(text, newline="")), text.count("\n"), progress))
    try:
        with progress_bar("writing") as progress:
            imported = store(lines, progress)
    except RefusedImportError as error:
        raise Failure([*map(str, error.problems), "nothing was imported"]) from error
    for problem in imported.problems:
        warn(f"{problem}; left out")
    counts = {"added": imported.added, "updated": imported.updated, "left out": len(imported.problems)}
    said = ", ".join(f"{word}: {count}" for word, count in counts.items() if count or word == "added")
    say(f"{what} {said}")


def _watched(lines: Iterator[_Line], total: int, progress: "Progress") -> Iterator[_Line]:
    for number, line in enumerate(lines):
        if number % READ_LINES == 0:
            progress(number, total)
        yield line
