"""Copies into one mailbox, whatever a crash has left there."""

from libc.errno cimport EEXIST, ENOENT, errno
from posix.fcntl cimport O_CLOEXEC, O_CREAT, O_EXCL, O_WRONLY, openat
from posix.unistd cimport close

from fastsmtp._maildir cimport HERE, O_NOFOLLOW, Batch, Mailbox, is_foreign, open_leaf, unlinkat, write_pieces

cdef extern from "<stdio.h>" nogil:
    int renameat(int, const char *, int, const char *)


cdef int create_anew(int tmp, const Wanted *wanted, bint *written) noexcept nogil:
    """A new file in tmp/, unless the one that a crash has left there is as it should be. A descriptor."""
    cdef int fd = openat(tmp, wanted.name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0o600)
    if fd >= 0 or errno != EEXIST:
        return fd
    written[0] = look_in(tmp, wanted.name, wanted) == PRESENT
    if written[0] or unlinkat(tmp, wanted.name, 0):
        return -1
    return openat(tmp, wanted.name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0o600)


cdef bint put(int tmp, int new, const Wanted *wanted) noexcept nogil:
    """Make new/NAME this file, in one step, whatever is there. Whether that was possible."""
    cdef bint written = False
    cdef int fd = create_anew(tmp, wanted, &written)
    if fd >= 0:
        written = not write_pieces(fd, wanted.pieces, 2, HERE)
        written = not close(fd) and written
        if not written:
            unlinkat(tmp, wanted.name, 0)  # on a full disk the others need the room
    return written and not renameat(tmp, wanted.name, new, wanted.name)


cdef bint has_absent(const Wanted *wanted, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        if wanted[i].outcome == ABSENT:
            return True
    return False


cdef bint reach_absent(Batch *batch, Mailbox *mailbox, Wanted *wanted, Py_ssize_t count) noexcept nogil:
    """Open tmp/ and look through cur/. Whether what is absent then may be put into new/, for a sync of the root."""
    cdef int cur
    if is_foreign(batch.root, mailbox.new):
        return False
    mailbox.tmp = open_leaf(batch, mailbox, "tmp")
    if mailbox.tmp < 0:
        return False
    cur = open_leaf(batch, mailbox, "cur")
    # Without a cur/ nobody has read anything yet.
    return cur == -ENOENT or cur >= 0 and not look_through(cur, wanted, count)


cdef void put_absent(Mailbox *mailbox, Wanted *wanted, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        if wanted[i].outcome == ABSENT and put(mailbox.tmp, mailbox.new, &wanted[i]):
            wanted[i].outcome = RESTORED


cdef void restore_mailbox(Batch *batch, Mailbox *mailbox, Wanted *wanted, Py_ssize_t count) noexcept nogil:
    """Bring these copies into their mailbox. Where that cannot be, they stay LEFT or ABSENT."""
    cdef Py_ssize_t i
    mailbox.tmp = -1
    mailbox.new = open_leaf(batch, mailbox, "new")
    if mailbox.new < 0:
        return
    for i in range(count):
        wanted[i].outcome = look_in(mailbox.new, wanted[i].name, &wanted[i])
    if has_absent(wanted, count) and reach_absent(batch, mailbox, wanted, count):
        put_absent(mailbox, wanted, count)
    if mailbox.tmp >= 0:
        close(mailbox.tmp)
    close(mailbox.new)
