# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, embedsignature=False
# cython: autotestdict=False
"""One batch of messages to disk in one call, without the GIL.

A message is in one of these states, and a batch goes through them together:

    1  write     every copy lies in tmp/             nobody looks there
    2  sync      ... and its bytes are on the disk   (FSYNC)
    3  publish   every copy lies in new/             a reader may take it
    4  sync new  ... and so do the names             (FSYNC)

Whatever fails on the way, in whichever copy, takes the whole message back; the others go on. Directories are opened
for each batch anew (a mailbox may be moved), without following symbolic links, and never leave the root.
Functions that give a descriptor return it or a negative errno, the others return 0 or an errno.
"""

import os
from typing import NamedTuple

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.limits cimport INT_MAX
from libc.stdlib cimport calloc, free
from libc.errno cimport errno
from libc.string cimport memset
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

include "_maildir_directories.pxi"
include "_maildir_phases.pxi"

NONE = 0
FSYNC = 1

# By Step: what it is called and where it happens.
cdef tuple _STEPS = (
    ("open", "{0}/{1}/tmp"),
    ("open", "{0}/{1}/new"),
    ("make", "{0}/{1}"),
    ("create", "{0}/{1}/tmp/{2}"),
    ("write", "{0}/{1}/tmp/{2}"),
    ("sync", "{0}/{1}/tmp/{2}"),
    ("close", "{0}/{1}/tmp/{2}"),
    ("rename", "{0}/{1}/new/{2}"),
    ("sync", "{0}/{1}/new"),
)


class Failure(NamedTuple):
    """Why a message was not stored: errno, the step and the path (below the root) at which it happened.

    Nothing of the message is left, except where files could not even be taken back: `left_behind` counts those.
    """

    errno: int
    step: str
    path: str
    left_behind: int


cdef bytes _component(bytes name):
    if not 0 < len(name) <= NAME_MAX or name == b"." or name == b".." or b"/" in name or b"\0" in name:
        raise ValueError(f"{name!r} cannot be a component of a path")
    return name


@cython.final
@cython.auto_pickle(False)
cdef class Delivery:
    """One message and the files that it becomes: each is a head of its own and the content that all share.

    `copies` has `(domain, user, name, head)` for each file: it goes to `domain/user/new/name`. Raises ValueError when
    one of the first three cannot be a component of a path.
    """

    # Tuples of bytes: nobody can take the memory away while it is being written.
    cdef readonly tuple copies
    cdef readonly tuple content

    def __init__(self, copies, content):
        cdef bytes domain, user, name, head, piece
        checked = []
        for domain, user, name, head in copies:
            checked.append((_component(domain), _component(user), _component(name), head))
        for piece in content:
            pass
        self.copies = tuple(checked)
        self.content = tuple(content)


cdef object report(Mail *mail):
    cdef File *file = mail.culprit
    if not mail.error:
        return None
    step, path = _STEPS[mail.step]
    names = map(os.fsdecode, (file.mailbox.domain, file.mailbox.user, file.name))
    return Failure(mail.error, step, path.format(*names), mail.left_behind)


cdef void set_piece(iovec *piece, bytes data) noexcept:
    piece.iov_base = PyBytes_AS_STRING(data)
    piece.iov_len = PyBytes_GET_SIZE(data)


cdef void *array(Py_ssize_t count, size_t size) except NULL:
    cdef void *memory = calloc(count + 1, size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef int prepare(Batch *work, tuple deliveries) except -1:
    """Lay the deliveries out in C arrays, which `release` frees."""
    cdef Delivery delivery
    cdef Py_ssize_t i
    cdef Py_ssize_t piece_count = 0
    cdef bytes domain, user, name, head, data
    cdef File *file
    cdef iovec *piece
    cdef Mail *mail
    cdef Mailbox *mailbox
    cdef dict known = {}

    for delivery in deliveries:
        if delivery is None:
            raise TypeError("a batch is made of deliveries")
        work.file_count += len(delivery.copies)
        piece_count += len(delivery.content) + 1
    if piece_count > INT_MAX:
        raise OverflowError("too many pieces in one batch")

    work.mail_count = len(deliveries)
    work.mails = <Mail *>array(work.mail_count, sizeof(Mail))
    work.mailboxes = <Mailbox *>array(work.file_count, sizeof(Mailbox))
    work.files = file = <File *>array(work.file_count, sizeof(File))
    work.pieces = piece = <iovec *>array(piece_count, sizeof(iovec))
    for i in range(work.mail_count):
        delivery = <Delivery>deliveries[i]
        mail = &work.mails[i]
        mail.files = file
        mail.file_count = len(delivery.copies)
        for domain, user, name, head in delivery.copies:
            number = known.setdefault((domain, user), work.mailbox_count)
            mailbox = &work.mailboxes[<Py_ssize_t>number]
            if number == work.mailbox_count:
                work.mailbox_count += 1
                mailbox.domain = PyBytes_AS_STRING(domain)
                mailbox.user = PyBytes_AS_STRING(user)
                mailbox.tmp = mailbox.new = -1
            file.mail = mail
            file.mailbox = mailbox
            file.name = PyBytes_AS_STRING(name)
            file.fd = -1
            set_piece(&file.head, head)
            file += 1
        mail.pieces = piece
        piece += 1
        for data in delivery.content:
            set_piece(piece, data)
            piece += 1
        mail.piece_count = <int>(piece - mail.pieces)
    return 0


cdef void release(Batch *work) noexcept:
    free(work.mails)
    free(work.mailboxes)
    free(work.files)
    free(work.pieces)


cdef void clear(Batch *work, int root, int durability) noexcept:
    memset(work, 0, sizeof(Batch))
    work.root = root
    work.durable = durability != NONE
    work.room = KEPT_DESCRIPTORS


cdef list reports(Batch *work):
    cdef Py_ssize_t i
    return [report(&work.mails[i]) for i in range(work.mail_count)]


def commit(int root, batch, int durability):
    """Put every message of the batch into all of its mailboxes, or into none; without the GIL, in one go.

    `root` is a descriptor of the directory that holds the domains. FSYNC returns when files and names are on the disk,
    NONE when the kernel has them. What fails is that message's failure alone: there is one result for each, in order.
    """
    cdef Batch work
    cdef tuple deliveries = tuple(batch)  # keeps the bytes alive that the arrays point into
    clear(&work, root, durability)
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
    when the system has no thread or descriptor left.
    """

    cdef Desk _desk
    cdef pthread_t _thread
    cdef int _root
    cdef int _durability
    cdef bint _is_open
    cdef tuple _deliveries
    cdef readonly int descriptor

    def __init__(self, int root, int durability):
        cdef int error
        self._root = root
        self._durability = durability
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
        clear(&self._desk.work, self._root, self._durability)
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
