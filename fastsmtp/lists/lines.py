"""The lines of a list: one entry a line, `#` begins a comment. There are no includes: one file is one list."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

__all__ = ["read_entries"]

T = TypeVar("T")

_LINE_CHARS: Final = 1000
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
    entries: list[T] = []
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        entry = _comment.sub("", line).strip()
        if len(entry) > _LINE_CHARS:
            problems.append(f"{path}:{number}: an entry has at most {_LINE_CHARS} characters, not {len(entry)}")
        elif entry:
            try:
                entries.append(parse(entry))
            except ValueError as error:
                problems.append(f"{path}:{number}: {error}")
    if problems:
        more = len(problems) - _PROBLEMS_SHOWN
        summary = [f"{path}: {more} more like that"] if more > 0 else []
        raise ValueError("\n".join(problems[:_PROBLEMS_SHOWN] + summary))
    return entries
