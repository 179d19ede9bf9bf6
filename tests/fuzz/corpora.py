"""The inputs that are kept: corpus/TARGET.txt, one a line, written as Python writes bytes."""

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Final

__all__ = ["TARGETS", "read", "write"]

HERE: Final = Path(__file__).parent
TARGETS: Final = tuple(path.stem for path in sorted((HERE / "targets").glob("*.py")))


def read(target: str) -> list[bytes]:
    """All of them; none where nothing was kept yet."""
    path = _path(target)
    return [ast.literal_eval(line) for line in path.read_text("ascii").splitlines()] if path.exists() else []


def write(target: str, inputs: Iterable[bytes]) -> None:
    """Keep these and no others."""
    lines = sorted(set(inputs), key=lambda data: (len(data), data))
    _path(target).write_text("".join(f"{data!r}\n" for data in lines), "ascii")


def _path(target: str) -> Path:
    return HERE / "corpus" / f"{target}.txt"
