"""Copies into mailboxes from wherever a delivery was interrupted, or into lost+found: every case, file by file."""

import errno
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from fastsmtp.delivery.mailbox import Mailbox, make_directory, open_directory
from fastsmtp.delivery.records import Copy

__all__ = ["LOST_AND_FOUND", "Outcome", "Restorer"]

LOST_AND_FOUND: Final = b".lost+found"

Outcome = Literal["present", "restored", "lost"]
"""A copy lay in its mailbox already; was put there; or went to lost+found, because it has no mailbox any more."""

# What is short for one mailbox is short for all: no reason to put a message elsewhere.
_SHORTAGES: Final = {errno.ENOSPC, errno.ENOMEM, errno.EMFILE, errno.ENFILE}

logger = logging.getLogger("fastsmtp.delivery")


class Restorer:
    """Puts copies into mailboxes from where a delivery was interrupted; doing it again changes nothing.

    `root` is a descriptor of the directory that holds the domains. Unless `durable`, the file system of the root is
    left for the caller to sync; what lies on another one is synced at once in any case.
    """

    def __init__(self, root: int, *, durable: bool = True) -> None:
        self._root = root
        self._device = None if durable else os.fstat(root).st_dev

    def restore(self, copy: Copy, content: bytes | memoryview | Iterable[bytes]) -> Outcome:
        """See to it that this copy is in its mailbox, or in lost+found when it has none. May block for long.

        Raises OSError when neither is possible now.
        """
        pieces = [content] if isinstance(content, bytes | memoryview) else content
        files = {copy.name: b"".join([copy.head, *pieces])}
        (outcome,) = self.restore_files(copy.domain, copy.user, files)
        return outcome

    def restore_files(self, domain: bytes, user: bytes, files: Mapping[bytes, bytes]) -> Counter[Outcome]:
        """The same as `restore` for many files (bytes by name) of a mailbox: how many had which outcome."""
        outcomes: Counter[Outcome] = Counter()
        left = dict(files)
        try:
            with Mailbox(self._root, domain, user) as mailbox:
                for name in self._in_place(mailbox, left):
                    del left[name]
                    outcomes["present"] += 1
                for name in list(left):
                    mailbox.put(name, left[name], durable=mailbox.device != self._device)
                    del left[name]
                    outcomes["restored"] += 1
        except OSError as error:
            if error.errno in _SHORTAGES:
                raise
            self._find_a_place(os.fsdecode(b"/".join((domain, user))), left, error)
            outcomes["lost"] += len(left)
        return outcomes

    def _in_place(self, mailbox: Mailbox, files: Mapping[bytes, bytes]) -> set[bytes]:
        there = mailbox.in_new(files)
        if len(there) < len(files):
            there |= mailbox.in_cur({name: data for name, data in files.items() if name not in there})
        return there

    def _find_a_place(self, address: str, files: Mapping[bytes, bytes], reason: OSError) -> None:
        """Put the files of a mailbox that cannot be used into lost+found."""
        make_directory(self._root, LOST_AND_FOUND)
        folder = open_directory(self._root, LOST_AND_FOUND)
        try:
            for name in (b"tmp", b"new", b"cur"):
                make_directory(folder, name)
        finally:
            os.close(folder)
        with Mailbox(self._root, LOST_AND_FOUND) as mailbox:
            there = self._in_place(mailbox, files)
            for name, data in files.items():
                if name not in there:
                    mailbox.put(name, data, durable=mailbox.device != self._device)
                    place = os.fsdecode(LOST_AND_FOUND + b"/new/" + name)
                    logger.error(
                        "the mailbox %a cannot be used (%s): its message is kept as %a", address, reason.strerror, place
                    )
