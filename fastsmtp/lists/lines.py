"""The lines of a list: one entry a line, `#` begins a comment. There are no includes: one file is one list."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

__all__ = ["ENTRY_CHARS", "parse_entries", "read_entries"]

T = TypeVar("T")

ENTRY_CHARS: Final = 1000
"""How long an entry may be, with what stands behind it."""

_PROBLEMS_SHOWN: Final = 10

_comment = re.compile(r"(?:^|\s)#.*")


def read_entries(path: Path | None, parse: Callable[[str], T]) -> list[T]:
    """What `parse` makes of each entry of a file, which is UTF-8; of no file there is none.

    Raises OSError, and ValueError with all that `parse` minded (by ValueErrors of its own), a line for each problem,
    beginning with file and line.
    """
    if path is None:
        return []
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at octet {error.start}") from None
    lines = ((f"{path}:{number}", _comment.sub("", line).strip()) for number, line in enumerate(text.split("\n"), 1))
    return parse_entries(str(path), ((place, entry) for place, entry in lines if entry), parse)


def parse_entries(source: str, placed: Iterable[tuple[str, str]], parse: Callable[[str], T]) -> list[T]:
    """What `parse` makes of each entry, which comes with its place in the source.

    Raises ValueError with all that is wrong, a line for each problem, beginning with the place.
    """
    entries: list[T] = []
    problems: list[str] = []
    for place, entry in placed:
        if len(entry) > ENTRY_CHARS:
            problems.append(f"{place}: an entry has at most {ENTRY_CHARS} characters, not {len(entry)}")
        else:
            try:
                entries.append(parse(entry))
            except ValueError as error:
                problems.append(f"{place}: {error}")
    if problems:
        more = len(problems) - _PROBLEMS_SHOWN
        summary = [f"{source}: {more} more like that"] if more > 0 else []
        raise ValueError("\n".join(problems[:_PROBLEMS_SHOWN] + summary))
    return entries
