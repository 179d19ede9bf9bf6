from collections.abc import Sequence
from typing import Final, NamedTuple, final

NONE: Final = 0
FSYNC: Final = 1

class Failure(NamedTuple):
    errno: int
    step: str
    path: str
    left_behind: int

@final
class Delivery:
    def __init__(self, copies: Sequence[tuple[bytes, bytes, bytes, bytes]], content: Sequence[bytes]) -> None: ...
    @property
    def copies(self) -> tuple[tuple[bytes, bytes, bytes, bytes], ...]: ...
    @property
    def content(self) -> tuple[bytes, ...]: ...

def commit(root: int, batch: Sequence[Delivery], durability: int) -> list[Failure | None]: ...

@final
class Writer:
    def __init__(self, root: int, durability: int) -> None: ...
    @property
    def descriptor(self) -> int: ...
    def start(self, batch: Sequence[Delivery]) -> None: ...
    def finish(self) -> list[Failure | None] | None: ...
    def close(self) -> None: ...
