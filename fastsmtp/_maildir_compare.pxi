"""Whether files lie in new/ as they should: what a recovery asks about everything that the journal has."""

from libc.errno cimport EINTR, errno
from libc.string cimport memcmp
from posix.fcntl cimport O_CLOEXEC, O_NONBLOCK, O_RDONLY, openat
from posix.stat cimport S_ISREG, fstat, struct_stat
from posix.unistd cimport close, read

cdef enum:
    COMPARE_BYTES = 64 * 1024


cdef bint holds(int fd, const iovec *pieces, int count) noexcept nogil:
    """Whether the file is these pieces, and nothing else."""
    cdef char there[COMPARE_BYTES]
    cdef struct_stat status
    cdef size_t size = 0
    cdef size_t at = 0
    cdef ssize_t count_read, taken, step
    cdef int i
    for i in range(count):
        size += pieces[i].iov_len
    # The length first: most of what a crash has spoiled is shorter.
    if fstat(fd, &status) or not S_ISREG(status.st_mode) or <size_t>status.st_size != size:
        return False
    while size:
        count_read = read(fd, there, min(size, <size_t>COMPARE_BYTES))
        if count_read < 0 and errno == EINTR:
            continue
        if count_read <= 0:
            return False
        size -= count_read
        taken = 0
        while taken < count_read:
            step = min(count_read - taken, <ssize_t>(pieces.iov_len - at))
            if memcmp(there + taken, <const char *>pieces.iov_base + at, step):
                return False
            taken += step
            at += step
            if at == pieces.iov_len:
                pieces += 1
                at = 0
    return True


cdef bint is_in_new(Batch *batch, File *file) noexcept nogil:
    cdef Mailbox *mailbox = file.mailbox
    cdef bint answer
    cdef int fd
    if mailbox.tmp < 0 and open_mailbox(batch, mailbox):
        return False
    fd = openat(mailbox.new, file.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
    leave(batch, mailbox)
    if fd < 0:
        return False
    file.mail.pieces[0] = file.head
    answer = holds(fd, file.mail.pieces, file.mail.piece_count)
    close(fd)
    return answer


cdef void compare(Batch *batch) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(batch.file_count):
        batch.files[i].in_new = is_in_new(batch, &batch.files[i])
    close_mailboxes(batch)
