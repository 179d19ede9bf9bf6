from collections.abc import Sequence
from typing import Final, NamedTuple, final

NONE: Final = 0
FSYNC: Final = 1
JOURNAL: Final = 2

class Failure(NamedTuple):
    errno: int
    step: str
    path: str
    left_behind: int

class Owed(NamedTuple):
    errno: int
    step: str
    path: str
    copies: tuple[int, ...]

@final
class Delivery:
    def __init__(
        self,
        copies: Sequence[tuple[bytes, bytes, bytes, bytes]],
        content: Sequence[bytes],
        spool: int = -1,
        spool_size: int = 0,
    ) -> None: ...
    @property
    def copies(self) -> tuple[tuple[bytes, bytes, bytes, bytes], ...]: ...
    @property
    def content(self) -> tuple[bytes, ...]: ...
    @property
    def spool(self) -> int: ...
    @property
    def spool_size(self) -> int: ...
    @property
    def record_bytes(self) -> int: ...

@final
class Journal:
    def __init__(self, segments: Sequence[int], segment_bytes: int, lap: int, limit: int) -> None: ...
    @property
    def position(self) -> tuple[int, int]: ...
    @property
    def room(self) -> int: ...
    @property
    def dead(self) -> int: ...
    def allow(self, lap: int) -> None: ...

def sync_file_system(fd: int) -> None: ...
def commit(
    root: int, batch: Sequence[Delivery], durability: int, journal: Journal | None = None
) -> list[Failure | Owed | None]: ...

@final
class Writer:
    def __init__(self, root: int, durability: int, journal: Journal | None = None) -> None: ...
    @property
    def descriptor(self) -> int: ...
    def start(self, batch: Sequence[Delivery]) -> None: ...
    def finish(self) -> list[Failure | Owed | None] | None: ...
    def close(self) -> None: ...

__pyx_capi__: Final[dict[str, object]]  # what `_salvage` imports, in C
