"""The floor: what the kernel alone takes (`bench/floor`)."""

from dataclasses import replace
from typing import ClassVar

from bench.load.generator import Load
from bench.native import program
from bench.peers.peer import Launch, Peer, Site

__all__ = ["Floor", "FloorBySource", "Null"]


class Floor(Peer):
    """Only the system calls: one Maildir file a recipient, and one journal with one fdatasync a turn of its loop."""

    def __init__(self, name: str, *, journal: bool = True, links: bool = False, workers: int = 1) -> None:
        """`links`: O_TMPFILE and linkat instead of tmp/ and rename."""
        self.name = name
        self.promise = (
            "in Maildir and on disk: a journal, one fdatasync a turn" if journal else "in Maildir, not synced"
        )
        self._journal = journal
        self._options = [*(["-l"] if links else []), "-w", str(workers)]

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return "-"

    def prepare(self, site: Site) -> Launch:
        site.mail.mkdir()
        command = [str(program("floor")), "-r", str(site.mail), *self._options]
        return Launch([*command, *(["-j", str(site.folder / "journal")] if self._journal else [])], None)


class FloorBySource(Floor):
    """The same, and its mail comes from Postfix's smtp-source."""

    def suited(self, load: Load) -> Load:
        return replace(load, generator="smtp-source")


class Null(Peer):
    """Only the answers: what the generator can do at the most."""

    name = "null"
    promise = "nothing: it only answers"
    stores: ClassVar[bool] = False

    def missing(self) -> str:
        return ""

    def version(self) -> str:
        return "-"

    def prepare(self, site: Site) -> Launch:  # noqa: ARG002 - it has no files
        return Launch([str(program("floor"))], None)
