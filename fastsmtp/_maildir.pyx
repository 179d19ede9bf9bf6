# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, embedsignature=False
# cython: autotestdict=False
"""One batch of messages to disk in one call, without the GIL.

A message is in one of these states, and a batch goes through them together:

    0  reach     its mailboxes are there and on the disk    (JOURNAL)
    1  write     every copy lies in tmp/                    nobody looks there
    2  sync      ... and its bytes are on the disk          (FSYNC: those of each file; JOURNAL: one record)
    3  publish   every copy lies in new/                    a reader may take it
    4  sync new  ... and so do the names                    (FSYNC)

Whatever fails on the way, in whichever copy, takes the whole message back; the others go on. Only when its record is in
the journal a message is not taken back any more: what phase 3 could not do is owed. With a journal, large messages and
those to a mailbox on another mount than the root go the way of FSYNC.

Directories are opened for each batch anew (a mailbox may be moved), without following symbolic links, and never leave
the root. Functions that give a descriptor return it or a negative errno, the others return 0 or an errno.
"""

import os
from typing import NamedTuple

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.limits cimport INT_MAX
from libc.stdlib cimport calloc, free
from libc.errno cimport errno
from libc.string cimport memchr, memset
from posix.uio cimport iovec
from posix.unistd cimport close as close_descriptor

cdef extern from "<pthread.h>" nogil:
    int pthread_create(pthread_t *, const void *, void *(*)(void *) noexcept nogil, void *)
    int pthread_join(pthread_t, void **)

cdef extern from "<semaphore.h>" nogil:
    int sem_init(sem_t *, int, unsigned int)
    int sem_post(sem_t *)
    int sem_wait(sem_t *)

cdef extern from "<sys/eventfd.h>" nogil:
    enum: EFD_CLOEXEC
    enum: EFD_NONBLOCK
    ctypedef unsigned long eventfd_t
    int eventfd(unsigned int, int)
    int eventfd_read(int, eventfd_t *)
    int eventfd_write(int, eventfd_t)

cdef extern from "<unistd.h>" nogil:
    int syncfs(int)

cpdef enum:
    NONE
    FSYNC
    JOURNAL

include "_maildir_bytes.pxi"
include "_maildir_crc.pxi"
include "_maildir_record.pxi"
include "_maildir_directories.pxi"
include "_maildir_reach.pxi"
include "_maildir_journal.pxi"
include "_maildir_phases.pxi"
include "_maildir_batch.pxi"


class Failure(NamedTuple):
    """Why a message was not stored: errno, the step and the path at which it happened.

    The path is below the root; `segment-N` is one of the journal's.

    Nothing of the message is left, except where files could not even be taken back: `left_behind` counts those.
    """

    errno: int
    step: str
    path: str
    left_behind: int


class Owed(NamedTuple):
    """The message is in the journal, hence ours, but these of its copies (indices) are not in new/ yet.

    errno, step and path say where the first of them failed. Without any, only a second name was left in tmp/.
    """

    errno: int
    step: str
    path: str
    copies: tuple[int, ...]


cdef bytes _component(bytes name):
    cdef const char *octets = PyBytes_AS_STRING(name)
    cdef size_t size = PyBytes_GET_SIZE(name)
    cdef bint is_dots = octets[0] == b"." and (size == 1 or size == 2 and octets[1] == b".")
    if not 0 < size <= NAME_MAX or is_dots or memchr(octets, b"/", size) or memchr(octets, 0, size):
        raise ValueError(f"{name!r} cannot be a component of a path")
    return name


@cython.final
@cython.auto_pickle(False)
cdef class Delivery:
    """One message and the files that it becomes: each is a head of its own and the content that all share.

    `copies` has `(domain, user, name, head)` for each file: it goes to `domain/user/new/name`. Behind the pieces of
    `content` come the first `spool_size` bytes of the file with the descriptor `spool`, which the caller keeps open;
    the place where it stands does not matter. Raises ValueError when one of the first three cannot be a component of a
    path, or there are bytes of no spool.
    """

    # Tuples of bytes: nobody can take the memory away while it is being written.
    cdef readonly tuple copies
    cdef readonly tuple content
    cdef readonly int spool
    cdef readonly long long spool_size
    cdef size_t front_size
    cdef size_t record_size

    def __init__(self, copies, content, int spool=-1, long long spool_size=0):
        cdef bytes domain, user, name, head, piece
        cdef tuple pieces = tuple(content)
        if spool_size < 0 or spool < 0 < spool_size:
            raise ValueError(f"a spool {spool} with {spool_size} bytes")
        checked = []
        self.front_size = RECORD_HEADER
        for domain, user, name, head in copies:
            checked.append((_component(domain), _component(user), _component(name), head))
            self.front_size += COPY_HEADER + len(domain) + len(user) + len(name) + len(head)
        self.record_size = self.front_size + spool_size
        for piece in pieces:
            self.record_size += len(piece)
        self.copies = tuple(checked)
        self.content = pieces
        self.spool = spool
        self.spool_size = spool_size

    @property
    def record_bytes(self):
        """The room that it takes in a journal. With a spool it never goes there."""
        return round_up(self.record_size, RECORD_ALIGNMENT)


def sync_file_system(int fd):
    """Have the disk take all of the file system that the descriptor is on; without the GIL. Raises OSError."""
    cdef int error
    with nogil:
        error = errno if syncfs(fd) else 0
    if error:
        raise OSError(error, os.strerror(error))


cdef int check(int durability, Journal journal) except -1:
    if durability == JOURNAL and journal is None:
        raise ValueError("JOURNAL needs a journal")
    return 0


def commit(int root, batch, int durability, Journal journal=None):
    """Put every message of the batch into all of its mailboxes, or into none; without the GIL, in one go.

    `root` is a descriptor of the directory that holds the domains. FSYNC returns when files and names are on the disk,
    JOURNAL when their records are, NONE when the kernel has them. There is one result for each message, in order: None,
    a Failure, which is that message's alone, or Owed. Raises ValueError for JOURNAL without a journal.
    """
    cdef Batch work
    cdef tuple deliveries = tuple(batch)  # keeps the bytes alive that the arrays point into
    check(durability, journal)
    clear(&work, root, durability, journal)
    try:
        prepare(&work, deliveries)
        with nogil:
            run(&work)
        return reports(&work)
    finally:
        release(&work)


cdef void *write_batches(void *argument) noexcept nogil:
    cdef Desk *desk = <Desk *>argument
    while True:
        while sem_wait(&desk.wake):  # interrupted by a signal
            pass
        if not desk.has_work:
            return NULL
        run(&desk.work)
        desk.has_work = False
        eventfd_write(desk.event, 1)


@cython.final
@cython.auto_pickle(False)
cdef class Writer:
    """Commits one batch at a time in a thread that never asks for the GIL.

    A Python thread has to get the GIL twice for each batch, from an event loop that has use for it. Raises OSError
    when the system has no thread or descriptor left, ValueError for JOURNAL without a journal.
    """

    cdef Desk _desk
    cdef pthread_t _thread
    cdef int _root
    cdef int _durability
    cdef Journal _journal
    cdef bint _is_open
    cdef tuple _deliveries
    cdef readonly int descriptor

    def __init__(self, int root, int durability, Journal journal=None):
        cdef int error
        check(durability, journal)
        self._root = root
        self._durability = durability
        self._journal = journal
        self._desk.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self._desk.event < 0:
            raise OSError(errno, os.strerror(errno))
        sem_init(&self._desk.wake, 0, 0)
        error = pthread_create(&self._thread, NULL, write_batches, &self._desk)
        if error:
            close_descriptor(self._desk.event)
            raise OSError(error, os.strerror(error))
        self._is_open = True
        self.descriptor = self._desk.event

    def start(self, batch):
        """Give it a batch; `descriptor` becomes readable when it is done. Raises RuntimeError while one is there."""
        cdef tuple deliveries = tuple(batch)
        if self._deliveries is not None or not self._is_open:
            raise RuntimeError("the writer is busy or closed")
        clear(&self._desk.work, self._root, self._durability, self._journal)
        try:
            prepare(&self._desk.work, deliveries)
        except BaseException:
            release(&self._desk.work)
            raise
        self._deliveries = deliveries  # keeps the bytes alive that the arrays point into
        self._desk.has_work = True
        sem_post(&self._desk.wake)

    def finish(self):
        """The results of the batch, as `commit` gives them; None while it is not done."""
        cdef eventfd_t count
        if self._deliveries is None or eventfd_read(self._desk.event, &count):
            return None
        try:
            return reports(&self._desk.work)
        finally:
            release(&self._desk.work)
            self._deliveries = None

    def close(self):
        """Wait for the batch that is there, and end the thread; twice does no harm."""
        if not self._is_open:
            return
        self._is_open = False
        with nogil:
            sem_post(&self._desk.wake)
            pthread_join(self._thread, NULL)
        if self._deliveries is not None:
            release(&self._desk.work)
            self._deliveries = None
        close_descriptor(self._desk.event)

    def __dealloc__(self):
        self.close()
