"""Lists in files, changed while a server has them."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fastsmtp.testing import Site

__all__ = ["rewrite", "until"]

_PATIENCE_S: Final = 20.0


def rewrite(path: Path, text: str) -> None:
    """As a careful operator does it: beside the file, then over it."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def until(site: Site, is_so: Callable[[], bool]) -> None:
    """Let the site's plugins live until something is so."""
    deadline = time.monotonic() + _PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, "it never came about"
        site.run(asyncio.sleep(0.05))
